"""Holds `verify` against the clients' own readers: `python -m tests.differential CHANNEL COUNT`.

Each mutated package is given to `verify`, with the lock's expectation and without, and extracted by
rattler and, where it is installed, by conda-package-handling, which conda uses. Where `verify` says
anything good of a package, every reader has to give the tree of the sound package.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rattler.package_streaming import extract

from generator.inspecting import Evidence, verify_package
from tests.mutated_packages import Draft, mutated

#: path -> kind, executable bit, and sha256 or target
Tree = dict[str, tuple[str, bool, str]]
Reader = Callable[[Path, Path], None]
Witness = Callable[[Mapping[str, bytes]], Evidence]
CLAIMS = ("proven", "self-consistent")


@dataclass
class Figures:
    """What was seen."""

    packages: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    #: reader -> packages that it refuses, or of which it gives another tree than the sound one
    refused: Counter[str] = field(default_factory=Counter)
    differ: Counter[str] = field(default_factory=Counter)
    #: both readers give a tree, and not the same one
    disagree: int = 0
    #: what was said well of, and a reader gives another tree for: none, or `verify` was fooled
    fooled: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            "packages": self.packages,
            "verdicts": dict(sorted(self.verdicts.items())),
            "extraction refused": dict(sorted(self.refused.items())),
            "extraction differs": dict(sorted(self.differ.items())),
            "readers disagree": self.disagree,
            "fooled": len(self.fooled),
        }


def readers(*, all_of_them: bool) -> dict[str, Reader]:
    """Return the clients' readers; conda's is slower."""
    found: dict[str, Reader] = {"rattler": _rattler}
    if all_of_them:
        found["conda-package-handling"] = _conda
    return found


def _rattler(package: Path, folder: Path) -> None:
    extract(package, folder)


def _conda(package: Path, folder: Path) -> None:
    # imports conda's own, which is there for the full counts alone
    api = importlib.import_module("conda_package_handling.api")
    api.extract(str(package), str(folder))


def tree(read: Reader, package: Path, folder: Path) -> Tree | None:
    """Return what a reader makes of a package; None where it makes nothing of it."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        read(package, folder)
    except BaseException as error:  # a panic of Rust's is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return None
    found: Tree = {}
    for where, folders, files in os.walk(folder):
        for name in (*files, *folders):
            path = Path(where) / name
            text = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[text] = "link", False, str(path.readlink())
            elif stat.S_ISREG(mode):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[text] = "file", bool(mode & 0o111), digest
            elif not stat.S_ISDIR(mode):
                found[text] = "odd", False, ""
    return found


def compare(
    packages: Sequence[tuple[Path, Witness]],
    number: int,
    folder: Path,
    *,
    seed: int,
    all_readers: bool,
) -> Figures:
    """Mutate packages so many times, and compare what is said of them with what is read."""
    chance, figures, using = random.Random(seed), Figures(), readers(all_of_them=all_readers)
    sound = [(Draft.read(path), path, witness) for path, witness in packages]
    wanted = {
        (path, name): tree(read, path, folder / "sound")
        for _, path, _ in sound
        for name, read in using.items()
    }
    for draft, path, witness in sound:
        again = folder / path.name
        again.write_bytes(draft.bytes())
        assert verify_package(again, witness).verdict == "proven", "the parts make the sound one"
        first, *others = (wanted[path, name] for name in using)
        assert first is not None
        assert all(other == first for other in others)
    for _ in range(number):
        draft, path, witness = chance.choice(sound)
        changed, what = mutated(draft, chance)
        target = folder / path.name
        target.write_bytes(changed.bytes())
        verdict = verify_package(target, witness).verdict
        alone = verify_package(target, lambda _: Evidence()).verdict
        figures.packages += 1
        figures.verdicts[verdict] += 1
        trees = {name: tree(read, target, folder / "tree") for name, read in using.items()}
        for name, found in trees.items():
            figures.refused[name] += found is None
            other = found != wanted[path, name]
            figures.differ[name] += other and found is not None
            if other and verdict in CLAIMS:
                figures.fooled.append(f"{name}: {verdict}: {what}")
            if other and alone in CLAIMS:
                figures.fooled.append(f"{name}: {alone} without the lock: {what}")
        distinct = {str(sorted(found.items())) for found in trees.values() if found is not None}
        figures.disagree += len(distinct) > 1
    return figures
