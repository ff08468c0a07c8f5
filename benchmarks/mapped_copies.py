"""Libraries in one process of numpy, Pillow and the trio: plain wheels against the packages.

Both environments are installed from the same channel and run emulated, with the same programs. The
one before has upstream's wheels unpacked into site-packages, as pip does it; the one after has
armtorch's packages. Prints how many copies of each library the process has, as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from generator.building import place_of
from generator.channel import LocalChannel
from generator.console import Silent
from generator.datafiles import subdirs
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import PythonBuild, Pythons
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.testing import Machine, Runner, choose_runner, create, solve
from generator.testing.runner import clean_environment
from generator.upstream.reaching import fetch_wheels
from tests import forge
from tests.cross import find_cross_tools
from tests.forge import declaration
from tests.mapped import MappedFile, copies, parse

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests/e2e/programs/one_process.py"
ORDER = "numpy,PIL.Image,torch,torchvision,torchaudio"
PYTHON = PythonBuild(3, 11)
LINE, SUBDIR = "2.10", "linux-aarch64"
TRIO = ["pytorch", "torchvision", "torchaudio"]
SMOKE = [ROOT / f"templates/tests/{name}.py" for name in TRIO]
#: packages whose libraries any machine has that pip installs such wheels on: package -> file
SYSTEM = {"libstdcxx": "libstdc++.so.6", "libgcc": "libgcc_s.so.1"}


def _environment(folder: Path, specs: list[str], channels: list[str]) -> Path:
    virtual = [f"__glibc={forge.glibc_version(forge.sysroot())}"]
    machine = Machine.of(subdirs()[SUBDIR], native=False, added=virtual)
    records = solve(specs, channels=channels, machine=machine)
    prefix = folder / "prefix"
    create(records, prefix=prefix, subdir=SUBDIR, package_cache=folder / "cache")
    return prefix.resolve()


def _with_wheels(folder: Path, project: Project) -> Path:
    """Python and pure dependencies from the channel, the five binary wheels as pip does it."""
    base = forge.ensure()
    pure = ["filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing_extensions"]
    prefix = _environment(folder, [f"python={PYTHON}", *pure, *SYSTEM], [base.url])
    site_packages = prefix / f"lib/python{PYTHON}/site-packages"
    (cell,) = (
        cell
        for cell in project.locked().cells
        if (cell.line, cell.subdir, str(cell.accelerator)) == (LINE, SUBDIR, "cpu")
    )
    wheels = [wheel for wheel in cell.wheels if wheel.serves(PYTHON)]
    fetch_wheels(project, project.declared(), wheels, jobs=2)
    declared = declaration.load()
    paths = [place_of(wheel, project.wheelhouse) for wheel in wheels]
    paths += [
        forge.default_cache() / "wheels" / declared.wheel(name, str(PYTHON)).file
        for name in ("numpy", "pillow")
    ]
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(site_packages)
    (site_packages / "torch/bin/torch_shm_manager").chmod(0o755)
    return prefix


def _with_packages(folder: Path, project: Project) -> Path:
    wanted = Selection(
        lines=(LINE, METAPACKAGES),
        subdirs=(SUBDIR,),
        accelerators=("cpu",),
        pythons=Pythons((PYTHON,)),
    )
    channel = LocalChannel(folder / "channel")
    chosen = select(variants(project.declared(), project.locked()), wanted)
    options = BuildOptions(channel=channel, jobs=1, level=1)
    build_variants(project, chosen, options).raise_for_failures()
    compiled = forge.ensure_compiled(find_cross_tools().gcc)
    channels = [channel.url, compiled.url, forge.ensure().url]
    return _environment(folder, [f"python={PYTHON}", *TRIO, "cpuonly"], channels)


def _machine(folder: Path, prefix: Path) -> Runner:
    """Run with the libraries of SYSTEM where the loader looks last, as on a machine of pip's."""
    sysroot = folder / "sysroot"
    shutil.copytree(forge.sysroot(), sysroot, symlinks=True)
    (place,) = (path.parent for path in sysroot.glob("usr/lib/**/libc.so.6"))
    for name in SYSTEM.values():
        shutil.copy(prefix / "lib" / name, place)
    return choose_runner(subdirs()[SUBDIR], sysroot=sysroot)


def _mapped(prefix: Path, runner: Runner) -> frozenset[MappedFile]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            runner.command([str(prefix / "bin/python"), str(PROGRAM), ORDER, *map(str, SMOKE)]),
            env=clean_environment(prefix, runner, os.environ),
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return parse(done.stdout)


def main(feedstock: str) -> None:
    project = Project(feedstock=Path(feedstock), narrator=Silent())
    figures = {}
    for name, make in (("wheels", _with_wheels), ("packages", _with_packages)):
        with tempfile.TemporaryDirectory(prefix="armtorch-copies-") as folder:
            prefix = make(Path(folder), project)
            files = _mapped(prefix, _machine(Path(folder), prefix))
            figures[name] = {
                "shared_libraries": sum(".so" in file.path.name for file in files),
                "copies": {
                    family: [path.name for path in paths] for family, paths in copies(files).items()
                },
            }
    print(json.dumps({"cell": f"{LINE}/{SUBDIR}/cpu/py{PYTHON}", **figures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
