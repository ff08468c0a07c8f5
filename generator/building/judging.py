"""What is asked of a finished package before it is sealed, and what the answer may change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from generator.documents import load_json
from generator.model import RaisedFloor, Variant

#: what build.py wrote about the package's files
_MANIFEST: Final = "info/armtorch/manifest.json"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A built package as the linkage check sees it."""

    variant: Variant
    #: info/index.json
    index: dict[str, Any]
    #: path -> target of every link, else None
    files: dict[str, str | None]
    #: paths of ELF, Mach-O and PE files
    binaries: tuple[str, ...]
    #: the folder the files of the package lie in
    prefix: Path

    def place(self, path: str) -> Path:
        """Return where a file of the package lies on disk now.

        Packages for any Python (CEP 20) hold ``site-packages/``; in the build prefix the folder is
        where rattler-build's own idea of a Python has it.
        """
        if path.startswith("site-packages/") and not (self.prefix / "site-packages").is_dir():
            return next(self.prefix.glob("[lL]ib/**/site-packages")).parent / path
        return self.prefix / path

    def open(self, path: str) -> BinaryIO:
        """Open a file of the package for reading at any position."""
        return self.place(path).open("rb")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the check of a package that may be published says."""

    #: for a person to know
    notes: tuple[str, ...] = ()
    #: where the package needs a newer system than its recipe states
    floor: RaisedFloor | None = None

    def apply(self, info: dict[str, bytes], index: dict[str, Any]) -> dict[str, Any]:
        """Return index.json with the floor raised; note that in the manifest among ``info``.

        The build string stays: other packages name it, and it is known before anything is built.
        """
        if self.floor is None:
            return index
        if (manifest := info.get(_MANIFEST)) is not None:
            account = {**load_json(manifest, _MANIFEST), "floor": asdict(self.floor)}
            text = json.dumps(account, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            info[_MANIFEST] = text.encode("utf-8")
        return {**index, "depends": list(self.floor.raise_in(index.get("depends", ())))}


#: raises LinkageError for what must not be published
Audit = Callable[[Contents], Judgement]
#: the same, of a package while it is sealed: its index.json, its files with the targets of links,
#: and its binaries
Judge = Callable[[dict[str, Any], dict[str, str | None], tuple[str, ...]], Judgement]


def accept(*_: object) -> Judgement:
    """Judge a package that nobody checks."""
    return Judgement()
