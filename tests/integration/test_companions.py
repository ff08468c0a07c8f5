"""A companion by data only: rows beside the feedstock.yaml of a channel of one's own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from generator.errors import MissingToolError
from generator.testing import Runner
from tests import forge
from tests.command_line import armtorch
from tests.conftest import ARM
from tests.cross import CrossTools, find_cross_tools
from tests.forge import ForgeChannel
from tests.index_server import IndexServer
from tests.integration.runnable import extension, runnable, write_libraries
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import Release, TinyWheel
from tests.unit.binaries import elf

pytestmark = pytest.mark.integration

Run = Callable[..., CompletedProcess[str]]

FEEDSTOCK = """\
channel: mine
maintainers: [me]
carry_armtorch: false
indexes: {pypi: {kind: pip}}
trains: {stable: {keep: [newest], indexes: [pypi]}}
subdirs:
  linux-aarch64: {accelerators: [cpu, cuda], base: [conda-forge]}
companions: [torch-anything, torch-quick, torch-gpu-only, torch-bare, torch-pure, torch-stable]
"""
PACKAGES = """\
packages:
  torch-anything:
    project: torch-anything
    made: python
    imports: [torch_anything.ops]
    homepage: https://host.example/anything
  torch-bare: {project: torch-bare, made: python}
  quick: {project: torch-quick, made: python, homepage: "https://host.example/quick"}
  torch-pure: {project: torch-pure, made: python, homepage: "https://host.example/pure"}
  torch-stable: {project: torch-stable, made: python, homepage: "https://host.example/stable"}
  torch-gpu-only: {project: torch-gpu-only, made: python, accelerators: [cuda]}
"""
LAYOUT = """\
projects:
  torch-anything:
    package: torch-anything
    rules:
    - {match: ["torch_anything/libany_cuda*.so"], cuda: ">=13.0", keep: true}
    - {match: ["torch_anything/libany_cuda*.so"], drop: a library for another CUDA}
    - {bundled: true}
    - {match: ["**"], keep: true}
"""
NAMES = "projects: {frobnicate: {conda: libfrob-python, extras: {any: {fast: libfast >=2}}}}\n"
LICENCES = "names: {MIT: [Quick Licence]}\n"
PAGE = Path(__file__).parents[2] / "docs/companions.md"
TORCH = "2.10.0"


def wheels(folder: Path) -> Iterator[TinyWheel]:
    """A torch with companions: for any Python, for some, per Python, for CUDA alone, and pure."""
    try:
        module = extension(find_cross_tools().gcc, folder)
    except MissingToolError:
        module = b""  # what runs it skips itself
    for wheel in Release(subdir=ARM, torch=TORCH).wheels(("cp312", "cp313"), ("torch",)):
        yield runnable(wheel, module)
    tag = "manylinux_2_28_aarch64"
    library = elf(["libtorch_cpu.so", "libc.so.6"])
    yield TinyWheel(
        project="torch_anything",
        version="9.9.0",
        tag=f"py3-none-{tag}",
        requires=["torch>=2.4,<3", "frobnicate[fast]>=1"],
        members={
            "torch_anything/__init__.py": b"",
            "torch_anything/ops.py": b"import torch",
            "torch_anything/libany_cpu.so": library,
            "torch_anything/libany_cuda130.so": library,
        },
    )
    yield TinyWheel(
        project="torch_stable",
        version="1.0",
        tag=f"cp38-abi3-{tag}",
        requires_python=">=3.13,<3.15",
        members={"torch_stable/__init__.py": b"import torch", "torch_stable/_C.abi3.so": library},
    )
    # on any Python all wheels are the base channel's, whatever they require
    yield TinyWheel(
        project="torch_pure",
        version="1.0",
        tag="py3-none-any",
        requires=["torch", 'typing_extensions; python_version < "3.13"'],
        members={"torch_pure/__init__.py": b""},
    )
    members = {"torch_bare/__init__.py": b""}
    yield TinyWheel(project="torch_bare", version="1.0", tag=f"py3-none-{tag}", members=members)
    for version, torch in (("1.0", f"torch=={TORCH}"), ("1.1", "torch==2.99.0")):
        for abi in ("cp312", "cp313"):
            said = f"Metadata-Version: 2.1\nName: torch_quick\nVersion: {version}\n"
            said += f"License: Quick Licence\nRequires-Dist: {torch}\n"
            yield TinyWheel(
                project="torch_quick",
                version=version,
                tag=f"{abi}-{abi}-{tag}",
                metadata=said.encode(),
                members={
                    "torch_quick/__init__.py": b"",
                    f"torch_quick/_C.cpython-{abi[2:]}-aarch64-linux-gnu.so": library,
                },
            )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Run]]:
    """A feedstock outside of the repository, updated, rendered and built from its rows."""
    home = tmp_path_factory.mktemp("mine")
    (home / "data").mkdir()
    (home / "feedstock.yaml").write_text(FEEDSTOCK)
    files = {"packages": PACKAGES, "layout": LAYOUT, "pypi_names": NAMES, "license_names": LICENCES}
    for name, text in files.items():
        (home / f"data/{name}.yaml").write_text(text)
    for wheel in wheels(home):
        wheel.write(home / "index")
    with IndexServer(home / "index") as server:
        environment = {**os.environ, "PIP_INDEX_URL": server.url, "PIP_CONFIG_FILE": os.devnull}
        environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}

        def run(*words: object) -> CompletedProcess[str]:
            return armtorch(*words, cwd=home, env=environment)

        for words in (("update",), ("render",), ("build", "--level", "1")):
            done = run(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        yield home, run


def packages(home: Path, name: str) -> list[Built]:
    return [Built.open(path) for path in sorted(home.glob(f"channel/*/{name}-[0-9]*.conda"))]


def test_it_goes_through_every_stage_and_is_proven(made: tuple[Path, Run]) -> None:
    home, run = made
    assert run("render", "--check").returncode == 0
    done = run("verify", *sorted(home.glob("channel/linux-aarch64/*.conda")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(packages(home, "torch-anything")) == 1
    assert len(packages(home, "quick")) == 2


@pytest.mark.prove
@pytest.mark.emulated
def test_its_own_tests_pass_where_it_is_installed(
    made: tuple[Path, Run], runner: Runner, tools: CrossTools, base: ForgeChannel, tmp_path: Path
) -> None:
    home, run = made
    index = json.loads((home / f"channel/{ARM}/repodata.json").read_text())
    libraries = write_libraries(tmp_path, index["packages.conda"].items(), base)
    names = "torch-anything,quick,torch-stable"
    done = run("test", "--package", names, "--python", "3.13", "--json",
               "--base", f"{libraries},{base.url}", "--sysroot", forge.sysroot())  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # each imports what its row says, or the module called as the project, and asks pip
    assert done.stdout.count('"passed"') >= 6, done.stdout


def test_it_is_bound_to_the_build_of_torch_that_it_goes_with(made: tuple[Path, Run]) -> None:
    home, _ = made
    (libtorch,) = packages(home, "libtorch")
    build = libtorch.index["build"]
    for package in (*packages(home, "torch-anything"), *packages(home, "quick")):
        assert f"libtorch =={TORCH} {build.rpartition('_')[0]}_*" in package.index["depends"]
    (anything,) = packages(home, "torch-anything")
    assert {"libfrob-python >=1", "libfast >=2"} <= {*anything.index["depends"]}
    # 1.1 is for a torch that is not there
    said = {(each.index["version"], each.index["license"]) for each in packages(home, "quick")}
    assert said == {("1.0", "MIT")}


def test_rules_beside_the_feedstock_keep_the_cells_libraries(made: tuple[Path, Run]) -> None:
    home, _ = made
    (anything,) = packages(home, "torch-anything")
    own = {path.rpartition("/")[2] for path in anything.files if path.endswith(".so")}
    assert own == {"libany_cpu.so"}


def test_what_the_cell_does_not_want_is_left_out_without_a_word(made: tuple[Path, Run]) -> None:
    home, run = made
    assert not packages(home, "torch-gpu-only")
    done = run("matrix", "--json")
    (cell,) = json.loads(done.stdout)["cells"]
    taken = {"torch-anything": "9.9.0", "torch-quick": "1.0", "torch-stable": "1.0"}
    assert cell["fill"] == taken
    assert not [row for row in cell["missing"] if row["package"] in {*taken, "torch-gpu-only"}]


def test_coverage_and_the_page_tell_of_it(made: tuple[Path, Run]) -> None:
    home, run = made
    channel = (home / "channel").as_uri()
    done = run("coverage", "--channel", channel, "--against", channel, "--json")
    rows = {row["package"]: row for row in json.loads(done.stdout)["rows"]}
    assert (rows["quick"]["upstream"], rows["quick"]["ours"]["version"]) == ("1.0", "1.0")
    assert rows["torch-anything"]["missing"] == []
    done = run("page", "--out", home / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (home / "site/index.html").read_text()
    assert "torch-quick 1.0" in page
    # nothing is said of what this cell does not want, and why of what it wants and has not
    assert "torch-gpu-only" not in page
    assert re.search("torch-bare[^<]*homepage", page)


def test_what_a_row_lacks_is_said_and_holds_back_that_package_alone(made: tuple[Path, Run]) -> None:
    _, run = made
    (cell,) = json.loads(run("matrix", "--json").stdout)["cells"]
    held, pure = cell["held"]
    assert (held["project"], pure["project"]) == ("torch-bare", "torch-pure")
    assert "homepage" in held["detail"]
    assert "packages.yaml" in held["next_step"]
    assert (pure["kind"], "What needs no package" in pure["next_step"]) == ("absent", True)


def test_the_rows_that_the_documentation_shows_are_read(tmp_path: Path) -> None:
    asked, rows, rules = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/packages.yaml").write_text(rows)
    (tmp_path / "data/layout.yaml").write_text(rules)
    (tmp_path / "feedstock.yaml").write_text(FEEDSTOCK.partition("companions:")[0] + asked)
    done = armtorch("matrix", cwd=tmp_path)
    assert "there is no lock yet" in done.stderr  # feedstock.yaml is read first
    for name, key in (("packages", "packages"), ("layout", "projects")):
        assert "torch-quick" in json.loads(armtorch("data", name, cwd=tmp_path).stdout)[key]


@pytest.mark.parametrize(
    ("key", "name", "said"),
    [
        ("companions", "torch-anythin", "perhaps you meant torch-anything"),
        ("companions", "torchaudio", "packages.yaml has no such row"),
        ("companions", "vllm", "write the row in data/packages.yaml"),
        ("fill", "torch-anything", "made: python goes with companions"),
    ],
)
def test_a_companion_without_a_row_is_refused(tmp_path: Path, key: str, name: str, said: str):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/packages.yaml").write_text(PACKAGES)
    declared = FEEDSTOCK.partition("companions:")[0] + f"{key}: [{name}]\n"
    (tmp_path / "feedstock.yaml").write_text(declared)
    done = armtorch("matrix", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert f"{key} names '{name}'" in done.stderr
    assert said in done.stderr
