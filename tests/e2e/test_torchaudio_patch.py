"""torchaudio 2.11.0, built for CUDA 13.0, beside a torch for CUDA 13.2: the patch in layout.yaml.

The real wheel is packaged; the packaged `torchaudio/_extension` is then imported for real, with a
torch that answers what the library and torch.version.cuda would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rattler.package_streaming import extract

from generator.channel import LocalChannel
from generator.matrix import Selection, select, variants
from generator.stages.build import BuildOptions, build_variants

pytestmark = pytest.mark.e2e

MEMBER = "torchaudio/_extension/utils.py"
TORCH = """
import sys, types
torch = types.ModuleType("torch")
torch.version = types.SimpleNamespace(cuda={torch_cuda!r})
torch.ops = types.SimpleNamespace(
    load_library=lambda path: None,
    _torchaudio=types.SimpleNamespace(
        cuda_version=lambda: {built!r}, is_align_available=lambda: True))
hub = types.ModuleType("torch.hub")
hub.download_url_to_file = hub.load_state_dict_from_url = None
sys.modules |= {{"torch": torch, "torch.hub": hub}}
package = types.ModuleType("torchaudio")
package.__path__ = [{folder!r}]
sys.modules["torchaudio"] = package
import torchaudio._extension as extension
print(extension._check_cuda_version(), extension._IS_ALIGN_AVAILABLE)
"""


def packaged(project, folder: Path, glob: str) -> tuple[Path, dict[str, object]]:
    """Build one torchaudio and return its site-packages and its manifest."""
    (variant,) = select(variants(project.declared(), project.locked()), Selection(globs=(glob,)))
    channel = LocalChannel(folder / "channel")
    report = build_variants(project, [variant], BuildOptions(channel=channel, jobs=1, level=1))
    report.raise_for_failures()
    extract(channel.root / variant.subdir / report.rows[0].file_name, folder / "unpacked")
    manifest = json.loads((folder / "unpacked/info/armtorch/manifest.json").read_text())
    return folder / "unpacked" / "site-packages", manifest


@pytest.fixture(scope="module")
def for_132(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuda132")
    return packaged(project, folder, "2.15/torchaudio/linux_aarch64_python3.12*")


def imported(site: Path, *, built: int | None, torch_cuda: str | None):
    code = TORCH.format(torch_cuda=torch_cuda, built=built, folder=str(site / "torchaudio"))
    return subprocess.run(
        [sys.executable, "-B", "-c", code], check=False, capture_output=True, text=True
    )


def test_the_patch_is_in_the_manifest_and_nothing_else_is_changed(for_132):
    _, manifest = for_132
    assert list(manifest["patched"]) == [f"site-packages/{MEMBER}"]
    said = manifest["patched"][f"site-packages/{MEMBER}"]
    assert said["member"] == MEMBER
    assert "minor version compatibility" in said["why"]


@pytest.mark.parametrize("torch_cuda", ["13.2", "13.0", "13.4", None])
def test_it_imports_beside_any_torch_of_its_cuda_major(for_132, torch_cuda):
    done = imported(for_132[0], built=13000, torch_cuda=torch_cuda)
    assert done.stdout.split() == ["13000", "True"], done.stderr


@pytest.mark.parametrize("torch_cuda", ["12.9", "14.0"])
def test_another_major_is_still_refused(for_132, torch_cuda):
    done = imported(for_132[0], built=13000, torch_cuda=torch_cuda)
    assert done.returncode == 1
    assert "compiled with different CUDA versions" in done.stderr


def test_where_cuda_is_the_very_same_nothing_is_patched(project, tmp_path):
    site, manifest = packaged(project, tmp_path, "2.14/torchaudio/linux_aarch64_python3.12*")
    assert manifest["patched"] == {}
    done = imported(site, built=13000, torch_cuda="13.2")
    assert done.returncode == 1, "upstream's own check is gone: the patch is not needed any more"
