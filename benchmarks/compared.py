"""The trio added to an environment with all it needs: from wheels by pip and uv, from packages.

Each from files on the same disk, into a copy of the same linux-aarch64 environment with the forge's
Python, one after the other and over again, the first of each left out. Prints bytes to fetch, wall
seconds (median), files and links that were added, and bytes that stay when it is removed, as JSON.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.mapped_copies import LINE, PYTHON, SUBDIR, TRIO
from generator.building import place_of
from generator.channel import LocalChannel
from generator.console import Silent
from generator.datafiles import subdirs
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import Pythons
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.testing import Machine, create, solve
from generator.upstream.reaching import fetch_wheels
from tests import forge

_TURNS = 3
_FOR_ARM = {
    "pip": ["--platform", "manylinux_2_28_aarch64", "--python-version", str(PYTHON)],
    "uv": ["--python-platform", "aarch64-manylinux_2_28", "--python-version", str(PYTHON)],
}


def main(feedstock: str) -> None:
    """Measure all ways and print them."""
    project = Project(feedstock=Path(feedstock), narrator=Silent())
    with tempfile.TemporaryDirectory(prefix="armtorch-compared-") as name:
        print(json.dumps(_compared(project, Path(name))))


def _compared(project: Project, folder: Path) -> dict[str, Any]:
    wanted = Selection(
        lines=(LINE, METAPACKAGES),
        subdirs=(SUBDIR,),
        accelerators=("cpu",),
        pythons=Pythons((PYTHON,)),
    )
    chosen = select(variants(project.declared(), project.locked()), wanted)
    channel = LocalChannel(folder / "channel")
    build_variants(project, chosen, BuildOptions(channel=channel, jobs=1)).raise_for_failures()
    virtual = [f"__glibc={forge.glibc_version(forge.sysroot())}"]
    machine = Machine.of(subdirs()[SUBDIR], native=False, added=virtual)
    specs = [f"python={PYTHON}", *TRIO, "cpuonly"]
    records = solve(specs, channels=[channel.url, forge.ensure().url], machine=machine)
    own = [each for each in records if str(each.url).startswith(channel.url)]
    before = [each for each in records if each not in own]
    (cell,) = (
        cell
        for cell in project.locked().cells
        if (cell.line, cell.subdir, str(cell.accelerator)) == (LINE, SUBDIR, "cpu")
    )
    projects = ("torch", "torchvision", "torchaudio")
    wheels = [each for name in projects for each in cell.wheels_of(name) if each.serves(PYTHON)]
    fetch_wheels(project, project.declared(), wheels, jobs=2)
    paths = [str(place_of(wheel, project.wheelhouse)) for wheel in wheels]

    def installed(all_of: Sequence[Any], prefix: Path, cache: Path) -> None:
        create(all_of, prefix=prefix, subdir=SUBDIR, package_cache=cache)

    def by_pip(prefix: Path) -> None:
        site_packages = prefix / f"lib/python{PYTHON}/site-packages"
        _run([sys.executable, "-m", "pip", "install", "--no-compile"], "pip", site_packages, paths)

    def by_uv(prefix: Path) -> None:
        site_packages = prefix / f"lib/python{PYTHON}/site-packages"
        cache = ["--cache-dir", str(prefix.parent / "uv")]
        _run(["uv", "pip", "install", *cache], "uv", site_packages, paths)

    def by_conda(prefix: Path) -> None:
        installed(records, prefix, prefix.parent / "cache")

    ways: dict[str, Callable[[Path], None]] = {"pip": by_pip, "armtorch": by_conda}
    if shutil.which("uv") is not None:
        ways["uv"] = by_uv
    found: dict[str, dict[str, Any]] = {name: {"seconds": []} for name in ways}
    for turn in range(_TURNS + 1):
        for name, install in ways.items():
            with tempfile.TemporaryDirectory(dir=folder) as place:
                prefix = Path(place, "prefix")
                installed(before, prefix, Path(place, "cache"))
                there = _entries(prefix)
                started = time.monotonic()
                install(prefix)
                if turn:
                    found[name]["seconds"].append(round(time.monotonic() - started, 2))
                added = _entries(prefix).keys() - there.keys()
                found[name]["files_and_links"] = len(added)
                if name == "armtorch":
                    installed(before, prefix, Path(place, "cache"))
                    left = {k: v for k, v in _entries(prefix).items() if k not in there}
                    found[name]["bytes_left_when_removed"] = sum(left.values())
    for figures in found.values():
        figures["seconds"] = statistics.median(figures["seconds"])
        figures["bytes_to_fetch"] = sum(wheel.size for wheel in wheels)
    found["armtorch"]["bytes_to_fetch"] = sum(each.size or 0 for each in own)
    return {"cell": f"{LINE}/{SUBDIR}/cpu/py{PYTHON}", "turns": _TURNS, **found}


def _run(command: list[str], tool: str, target: Path, paths: list[str]) -> None:
    options = ["--no-deps", "--no-index", "--only-binary", ":all:", "--target", str(target)]
    subprocess.run([*command, "-q", *options, *_FOR_ARM[tool], *paths], check=True)


def _entries(folder: Path) -> dict[str, int]:
    """Return files and links, each with its bytes; what Python writes by itself is left out."""
    return {
        path.relative_to(folder).as_posix(): path.lstat().st_size
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and "__pycache__" not in path.parts
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
