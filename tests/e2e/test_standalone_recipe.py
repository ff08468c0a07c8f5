"""A recipe needs nothing of armtorch: plain rattler-build makes the same package, by any base."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import zstandard

from generator.atomic import write_text
from generator.building import link_wheelhouse
from generator.channel import LocalChannel
from generator.matrix import Selection, select
from generator.stages.build import BuildOptions, build_variants
from generator.upstream.reaching import fetch_wheels
from tests.installing import pip

pytestmark = pytest.mark.e2e

ENGINE = version("py-rattler-build")
#: the command line's own arguments: variants.yaml is found beside the recipe, and no base is its
PLAIN = """
import sys
from rattler_build.cli_api import build_recipes
recipe, python, out, base = sys.argv[1:]
build_recipes([recipe], variant_overrides={"python": [python]}, output_dir=out, channel=[base],
              target_platform="linux-aarch64", test="skip")
"""
#: what rattler-build stamps with the time, the machine and the channels of the build
STAMPED = {
    "info/about.json",
    "info/recipe/rendered_recipe.yaml",
    "info/armtorch/digests.json",
}


def contents(package: Path) -> tuple[dict[str, object], dict[str, str], str]:
    """index.json without its timestamp, sha256 or link target by path, and paths.json."""
    index, files, paths = {}, {}, ""
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if not name.endswith(".tar.zst"):
                continue
            raw = zstandard.ZstdDecompressor().stream_reader(archive.open(name)).read()
            with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
                for member in tar:
                    if member.issym():
                        files[member.name] = member.linkname
                    elif member.isfile():
                        opened = tar.extractfile(member)
                        assert opened is not None
                        content = opened.read()
                        if member.name == "info/index.json":
                            index = json.loads(content)
                            index.pop("timestamp", None)
                        elif member.name == "info/paths.json":
                            paths = content.decode()
                        elif member.name not in STAMPED:
                            files[member.name] = hashlib.sha256(content).hexdigest()
    return index, files, paths


def test_plain_rattler_build_by_another_base_makes_the_same(project, cpu_variants, tmp_path):
    (variant,) = select(cpu_variants, Selection(packages=("torchaudio",), lines=("2.10",)))
    fetch_wheels(project, project.declared(), variant.wheels, jobs=1)
    link_wheelhouse(project.root, project.wheelhouse, variant.wheels)
    ours = LocalChannel(tmp_path / "channel")
    build_variants(project, [variant], BuildOptions(channel=ours, jobs=1)).raise_for_failures()

    other = LocalChannel(tmp_path / "base")
    for subdir in ("noarch", "linux-64", "linux-aarch64"):
        write_text(other.root / subdir / "repodata.json", "{}")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    pip(python, "install", "-q", f"py-rattler-build=={ENGINE}")
    alone = [python, "-I", "-c", "import generator"]
    absent = subprocess.run(alone, capture_output=True, check=False)
    assert absent.returncode != 0
    subprocess.run(
        [
            python,
            "-I",
            "-c",
            PLAIN,
            project.root / variant.recipe_path,
            variant.config["python"][0],
            tmp_path / "plain",
            other.url,
        ],
        check=True,
        stdout=sys.stderr,
        # the recipe's interpreter is called python, which a fresh Debian does not have
        env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    (plain,) = (tmp_path / "plain").rglob("*.conda")
    (sealed,) = (ours.root / "linux-aarch64").glob("*.conda")
    assert plain.name == sealed.name
    index, *mine = contents(sealed)
    # the one thing that a recipe cannot say: which project of PyPI it is
    assert index.pop("purls") == ["pkg:pypi/torchaudio@2.10.0"]
    assert (index, *mine) == contents(plain)
