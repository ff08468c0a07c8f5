"""The symbols of the libraries in a wheel, here or afar: read once, and kept (decision D14)."""

from __future__ import annotations

import hashlib
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from pydantic import TypeAdapter

from generator.documents import open_zip
from generator.errors import MalformedError
from generator.inspecting.findings import AuditReport
from generator.inspecting.limits import limits
from generator.inspecting.packed_symbols import pack_defined, unpack_defined
from generator.inspecting.pairing import Asking, Unmet
from generator.inspecting.reading import read_binary, read_symbols
from generator.inspecting.symbols import Symbols
from generator.inspecting.together import unmet_beside
from generator.model.accelerator import Accelerator
from generator.model.subdir import Subdir
from generator.naming import bundled
from generator.upstream import MemberFile, Offer, WheelReader, sharing_rules

#: raised when what is kept of symbols changes its meaning
_FORMAT: Final = "symbols-3"
_LIBRARY: Final = re.compile(r"\.(so|dylib|dll|pyd)(\.[^/]*)?\Z")
#: where torch's wheels have the libraries that others are linked against
_TORCH: Final = "torch/lib"
#: folders that auditwheel, delvewheel and delocate copy other projects' libraries into
_COPIES: Final = (".libs", ".dylibs")
_ASKING: Final = TypeAdapter(tuple[Asking, ...])


def is_torchs(path: str, *, subdir: Subdir, version: str) -> bool:
    """Whether a member of a torch wheel is a library that others are linked against."""
    if not _LIBRARY.search(path) or posixpath.dirname(path) != _TORCH:
        return False
    copies = bundled((path,), subdir.name, version, Accelerator())
    return not any(row.member == path for row in copies)


def unmet_in_wheel(
    report: AuditReport, wheel: Path, *, subdir: Subdir, version: str
) -> tuple[Unmet, ...]:
    """Return what an audited companion asks of a torch in vain, whose verified wheel is here.

    Raises LinkageError: a library's tables are corrupt. MalformedError: a member cannot be read.
    """
    with wheel.open("rb") as file, open_zip(file, wheel.name) as archive:
        paths = (n for n in archive.namelist() if is_torchs(n, subdir=subdir, version=version))
        return unmet_beside(report, _Local(archive, subdir, tuple(paths)))


@dataclass(frozen=True)
class _Local:
    """Torch's libraries in a wheel that is here."""

    archive: zipfile.ZipFile
    subdir: Subdir
    paths: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All file names."""
        return tuple(posixpath.basename(path) for path in self.paths)

    def symbols(self, name: str) -> Symbols | None:
        """Return what a library exports."""
        path = self.paths[self.names.index(name)]
        file = MemberFile(
            cast("IO[bytes]", self.archive.fp), self.archive.getinfo(path), limits().inflated
        )
        machine = self.subdir.binary_machine
        return read_symbols(cast("BinaryIO", file), file.size, path, machine, headers=True)


@dataclass
class Shelves:
    """Reads members of wheels: each archive is opened once, equal members are read once."""

    reader: WheelReader
    subdir: Subdir
    stack: ExitStack
    _archives: dict[tuple[str, str], zipfile.ZipFile] = field(default_factory=dict)
    _symbols: dict[tuple[str, str], Symbols | None] = field(default_factory=dict)
    _asking: dict[tuple[str, str], tuple[Asking, ...]] = field(default_factory=dict)

    def symbols(self, offer: Offer, path: str, digest: str) -> Symbols | None:
        """Return what a member exports; None where it is no library for this machine.

        Raises LinkageError, MalformedError: it cannot be read.
        """
        if (path, digest) not in self._symbols:
            key = fact_key("defined", offer, None, path)
            kept = self.reader.cache.symbols.get(key) if key else None
            if kept is not None:
                found: Symbols | None = unpack_defined(kept, path) if kept else None
            else:
                file, machine = self.file(offer, path), self.subdir.binary_machine
                found = read_symbols(file, file.size, path, machine, headers=True)  # type: ignore[arg-type]
                if key:
                    self.reader.cache.symbols.keep(key, pack_defined(found) if found else b"")
            self._symbols[path, digest] = found
        return self._symbols[path, digest]

    def asking(self, offer: Offer, path: str, digest: str) -> tuple[Asking, ...]:
        """Return what a member asks for, once; nothing where it is for another machine."""
        if (path, digest) not in self._asking:
            key = fact_key("asking", offer, None, path)
            kept = self.reader.cache.symbols.get(key) if key else None
            if kept is not None:
                self._asking[path, digest] = _ASKING.validate_json(kept)
            else:
                self._asking[path, digest] = found = tuple(self._ask(offer, path))
                if key:
                    self.reader.cache.symbols.keep(key, _ASKING.dump_json(found))
        return self._asking[path, digest]

    def _ask(self, offer: Offer, path: str) -> Iterator[Asking]:
        file, machine = self.file(offer, path), self.subdir.binary_machine
        stream = cast("BinaryIO", file)
        for binary in read_binary(stream, file.size, path, seeks=True):
            symbols = read_symbols(stream, file.size, path, machine)
            if binary.machine == machine and symbols is not None:
                yield Asking.of(path, binary, symbols)

    def file(self, offer: Offer, path: str) -> MemberFile:
        """Open a member."""
        key = offer.index, offer.filename
        if key not in self._archives:
            self._archives[key] = self.stack.enter_context(self.reader.opened(offer))[0]
        archive = self._archives[key]
        if archive.fp is None:
            raise MalformedError("the archive is closed", where=offer.filename)
        return MemberFile(archive.fp, archive.getinfo(path), limits().inflated)


@dataclass
class WheelShelf:
    """The libraries of one wheel, by file name."""

    shelves: Shelves
    offer: Offer
    counts: Callable[[str], bool]

    @cached_property
    def _libraries(self) -> tuple[tuple[str, str], ...]:
        """Paths, and what they are the same by in several wheels; the smallest first."""
        rules = sharing_rules()
        members = self.shelves.reader.members(self.offer)
        return tuple(
            (path, "" if rules.rule_for(path) else member.sha256)
            for path, member in sorted(
                filter(lambda row: _LIBRARY.search(row[0]), members.items()),
                key=lambda row: (row[1].size, row[0]),
            )
            if self.counts(path)
        )

    @cached_property
    def _by_name(self) -> dict[str, tuple[str, str]]:
        return {posixpath.basename(path): (path, same) for path, same in self._libraries}

    @property
    def names(self) -> tuple[str, ...]:
        """All file names."""
        return tuple(self._by_name)

    def symbols(self, name: str) -> Symbols | None:
        """Return what a library exports; raises as `Shelves.symbols`."""
        return self.shelves.symbols(self.offer, *self._by_name[name])

    def asking(self) -> tuple[Asking, ...]:
        """Return what the wheel's own libraries ask for; raises as `Shelves.symbols`."""
        return tuple(
            each
            for path, digest in self._libraries
            if not any(part.endswith(_COPIES) for part in path.split("/"))
            for each in self.shelves.asking(self.offer, path, digest)
        )


def fact_key(what: str, offer: Offer, torch: Offer | None, more: str) -> str:
    """Name what is kept of wheels that the index promises a sha256 for; "" for others."""
    sums = [offer.sha256, *((torch.sha256,) if torch is not None else ())]
    if None in sums:
        return ""
    return hashlib.sha256("\n".join([_FORMAT, what, *map(str, sums), more]).encode()).hexdigest()
