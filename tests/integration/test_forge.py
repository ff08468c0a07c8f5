"""The forge: what its channel promises, solved, installed and run as ARM programs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from generator.datafiles import subdirs
from generator.errors import MissingToolError, SolveError
from generator.naming.mangling import without_hash
from generator.testing.environment import Machine, create, solve
from generator.testing.runner import Runner, choose_runner, clean_environment
from tests import forge
from tests.conftest import missing
from tests.forge import declaration, elf, standins
from tests.forge.archive import Package
from tests.forge.staging import Staged

pytestmark = pytest.mark.integration

SUBDIR = "linux-aarch64"
PURE = ["pip", "sympy", "jinja2", "networkx", "fsspec", "filelock", "typing_extensions"]
LIBRARIES = {
    "libopenblas": "libopenblas.so.0",
    "libjpeg-turbo": "libjpeg.so.8",
    "libpng": "libpng16.so.16",
    "libwebp-base": "libwebp.so.7",
    "_openmp_mutex": "libgomp.so.1",
    "libstdcxx": "libstdc++.so.6",
    "libgfortran5": "libgfortran.so.5",
}
CUDA = ["libcusolver", "libcufile", "libcufft", "cusparselt >=0.8.1,<0.9", "nccl >=2.30.4,<3",
        "cuda-bindings >=13.0.3,<14"]  # fmt: skip
CUDA_130 = ["cuda-version >=13.0,<14", "libcudnn >=9.24,<10", "libnvshmem3 >=3.4.5,<4",
            "libcurand", "triton >=3.8.0,<3.9"]  # fmt: skip
CUDA_132 = ["cuda-version >=13.2,<14", "libcudnn >=9.26,<10", "libnvshmem3 >=3.6.5,<4",
            "libnvjpeg >=13.1,<14", "triton >=3.9.0,<3.10"]  # fmt: skip


@pytest.fixture(scope="module")
def channel() -> forge.ForgeChannel:
    return forge.ensure()


@pytest.fixture(scope="module")
def runner() -> Runner:
    try:
        return choose_runner(subdirs()[SUBDIR], sysroot=forge.sysroot())
    except MissingToolError as error:
        missing(str(error))
        raise


@pytest.fixture(scope="module")
def machine() -> Machine:
    glibc = forge.glibc_version(forge.sysroot())
    return Machine.of(subdirs()[SUBDIR], native=False, added=[f"__glibc={glibc}"])


def run(runner: Runner, prefix: Path, *arguments: str) -> str:
    variables = clean_environment(prefix, runner, os.environ)
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), *arguments]),
        env={**variables, "QEMU_CPU": "max,pauth-impdef=on"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.emulated
@pytest.mark.parametrize("python", ["3.9", "3.11", "3.13"])
def test_installed_prefix_runs(
    python: str, channel: forge.ForgeChannel, runner: Runner, machine: Machine, tmp_path: Path
) -> None:
    specs = [f"python {python}.*", "numpy", "pillow", *PURE, *LIBRARIES]
    records = solve(specs, channels=[channel.url], machine=machine)
    prefix = create(records, prefix=tmp_path / "env", subdir=SUBDIR,
                    package_cache=tmp_path / "pkgs").prefix  # fmt: skip

    out = run(runner, prefix, "-c", (
        "import numpy, PIL, ssl, ctypes, sympy, jinja2, lzma, bz2, zlib, hashlib, sqlite3, uuid\n"
        "import multiprocessing, unittest, curses, readline, setuptools, sysconfig, site\n"
        "print(numpy.linalg.svd(numpy.diag([3., 2.]))[1].tolist())\n"
        "print(sympy.integrate(sympy.Symbol('x') ** 2))\n"
        "print(sysconfig.get_paths()['purelib'], *site.getsitepackages())\n"
        "print(sysconfig.get_config_var('LIBDIR'))\n"
    )).splitlines()  # fmt: skip
    site_packages = str(prefix / f"lib/python{python}/site-packages")
    assert out == ["[3.0, 2.0]", "x**3/3", f"{site_packages} {site_packages}", str(prefix / "lib")]

    assert "No broken requirements" in run(runner, prefix, "-m", "pip", "check")
    listed = json.loads(run(runner, prefix, "-m", "pip", "list", "--format", "json"))
    assert {"numpy", "pillow", "sympy", "pip"} <= {row["name"].lower() for row in listed}
    assert run(runner, prefix, str(prefix / "bin/pip"), "--version").startswith("pip ")


@pytest.mark.emulated
def test_libraries_come_from_the_prefix_once(
    channel: forge.ForgeChannel, runner: Runner, machine: Machine, tmp_path: Path
) -> None:
    records = solve(["python 3.11.*", "numpy", *LIBRARIES], channels=[channel.url], machine=machine)
    prefix = create(records, prefix=tmp_path / "env", subdir=SUBDIR,
                    package_cache=tmp_path / "pkgs").prefix  # fmt: skip
    out = run(runner, prefix, "-c", (
        "import ctypes, importlib, numpy, os, sys\n"
        f"for name in {sorted(LIBRARIES.values())}: ctypes.CDLL(name)\n"
        "(folder,) = (p for p in sys.path if p.endswith('lib-dynload'))\n"
        "for name in os.listdir(folder): importlib.import_module(name.split('.')[0])\n"
        "lines = open('/proc/self/maps').read().splitlines()\n"
        "print(*{line.split()[-1] for line in lines if '.so' in line}, sep='\\n')\n"
    ))  # fmt: skip
    loaded = [Path(line) for line in out.splitlines()]
    stems = Counter(path.name.split(".so")[0] for path in loaded)
    assert stems["libgomp"] == stems["libstdc++"] == stems["libjpeg"] == 1
    foreign = {path.name for path in loaded if not path.is_relative_to(prefix)}
    assert foreign <= elf.SYSTEM_LIBRARIES


def test_records_are_conda_forges(channel: forge.ForgeChannel) -> None:
    records = [
        record
        for subdir in (SUBDIR, "noarch")
        for record in json.loads((channel.path / subdir / "repodata.json").read_text())[
            "packages.conda"
        ].values()
    ]
    (python,) = (r for r in records if r["name"] == "python" and r["version"].startswith("3.11"))
    (abi,) = (r for r in records if r["name"] == "python_abi" and r["version"] == "3.11")
    assert python["python_site_packages_path"] == "lib/python3.11/site-packages"
    assert python["build"].endswith("_0_cpython")
    assert abi["build"].endswith("_cp311")
    assert abi["constrains"] == ["python 3.11.* *_cpython"]
    names = {record["name"] for record in records}
    for record in records:
        needed = {spec.split()[0] for spec in record["depends"]}
        assert {name for name in needed if not name.startswith("__")} <= names, record["name"]


def test_no_two_packages_own_a_path(
    channel: forge.ForgeChannel, machine: Machine, tmp_path: Path
) -> None:
    records = solve(
        ["python 3.11.*", "numpy", "pillow", *PURE, *LIBRARIES, "libgfortran"],
        channels=[channel.url], machine=machine,
    )  # fmt: skip
    prefix = create(records, prefix=tmp_path / "env", subdir=SUBDIR,
                    package_cache=tmp_path / "pkgs").prefix  # fmt: skip
    owners: Counter[str] = Counter()
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        owners.update(record["files"])
        if record["name"] == "libgomp":
            assert record["files"] == ["lib/libgomp.so.1.0.0"]
    assert owners["lib/libgomp.so.1"] == 1
    assert [path for path, count in owners.items() if count > 1] == []


def test_second_build_changes_nothing(channel: forge.ForgeChannel) -> None:
    before = {path: path.stat().st_mtime_ns for path in channel.path.rglob("*")}
    start = time.process_time()  # not what another process holding the forge's lock costs
    assert forge.ensure() == channel
    assert time.process_time() - start < 5
    assert {path: path.stat().st_mtime_ns for path in channel.path.rglob("*")} == before


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    kept = tmp_path / "out" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(forge.ForgeError, match="name another folder"):
        forge.ensure(tmp_path / "cache", out=kept.parent)
    assert kept.read_text() == "mine"


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    row = tmp_path / "packages.yaml"
    row.write_text(
        "sysroot: {suite: trixie, debs: [libc6]}\n"
        "pythons: []\nlibraries: []\nmetapackages: []\nwheels: []\nwhells: []\n"
    )
    with pytest.raises(ValidationError, match="whells"):
        declaration.load(row)


@pytest.mark.parametrize(
    ("mangled", "plain"),
    [
        ("libz.f9ce4a27.so.1", "libz.so.1"),
        ("ld-linux-aarch64.5cbc5e90.so.1", "ld-linux-aarch64.so.1"),
        ("libpng16.so.16", "libpng16.so.16"),
        ("libopenblas-24fd393f.so.0", "libopenblas.so.0"),
    ],
)
def test_demangling(mangled: str, plain: str) -> None:
    assert without_hash(mangled) == plain


@pytest.mark.parametrize(
    ("version", "pin", "requirement"),
    [
        ("3.4.4", "x.x", "lib >=3.4.4,<3.5.0a0"),
        ("1.1.1w", "x.x.x", "lib >=1.1.1w,<1.1.2.0a0"),
        ("3.0.20", "x", "lib >=3.0.20,<4.0a0"),
        ("4.4.33", None, "lib >=4.4.33"),
    ],
)
def test_pins(version: str, pin: declaration.Pin | None, requirement: str) -> None:
    package = Package(name="lib", version=version, build="h0_0", number=0, subdir=SUBDIR)
    assert Staged(package, pin=pin).requirement() == requirement


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> str:
    return standins.write(tmp_path_factory.mktemp("standins"))


@pytest.mark.parametrize("python", ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("subdir", ["linux-aarch64", "osx-arm64"])
def test_stand_ins_for_every_python(python: str, subdir: str, stand_ins: str) -> None:
    machine = Machine.of(subdirs()[subdir], native=False)
    specs = [f"python {python}.*", "numpy", "pillow", "llvm-openmp", *PURE]
    records = solve(specs, channels=[stand_ins], machine=machine)
    assert {"numpy", "python_abi", "pip"} <= {record.name.normalized for record in records}


def test_stand_ins_choose_the_gil(stand_ins: str) -> None:
    machine = Machine.of(subdirs()[SUBDIR], native=False)
    builds = {}
    for specs in (["python 3.14.*"], ["python-freethreading 3.14.*"]):
        records = solve([*specs, "numpy"], channels=[stand_ins], machine=machine)
        builds[specs[0]] = {r.name.normalized: str(r.build) for r in records}
    assert builds["python 3.14.*"]["python"].endswith("_cp314")
    assert builds["python-freethreading 3.14.*"]["python"].endswith("_cp314t")
    assert builds["python-freethreading 3.14.*"]["numpy"].startswith("py314th")


@pytest.mark.parametrize("driver", [None, "13.2"])
@pytest.mark.parametrize("era", [CUDA_130, CUDA_132], ids=["13.0", "13.2"])
def test_stand_ins_solve_cuda(era: list[str], driver: str | None, stand_ins: str) -> None:
    added = [f"__cuda={driver}"] if driver else []
    machine = Machine.of(subdirs()[SUBDIR], native=False, added=added)
    records = solve(["python 3.12.*", *CUDA, *era], channels=[stand_ins], machine=machine)
    assert "libcublas" in {record.name.normalized for record in records}


def test_stand_ins_refuse_an_old_driver(stand_ins: str) -> None:
    machine = Machine.of(subdirs()[SUBDIR], native=False, added=["__cuda=12.4"])
    with pytest.raises(SolveError, match="__cuda"):
        solve(["cuda-cudart"], channels=[stand_ins], machine=machine)


def test_stand_ins_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        standins.write(tmp_path / name)
    for subdir in standins.SUBDIRS:
        first, second = (tmp_path / name / subdir / "repodata.json" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
