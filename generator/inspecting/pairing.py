"""Whether a companion finds beside a torch the symbols that it was linked against (decision D14).

METADATA says with which torch a companion's author means it to work; the symbols say with which it
loads. torchaudio 2.11.1 says ``torch>=2.11`` and asks for three functions that came with 2.13.

A binary tells what it leaves undefined, and, on macOS and Windows and for versioned symbols on
Linux, from which library it has to come. What comes from a library that is neither the companion's
own nor torch's is the system's or another package's, and judged where those are (`audit`). Where
nothing says it, the name tells whether it is torch's: glibc and libstdc++ answer for symbols
without a version too, as dlopened libraries and the interpreter do, and none of them has torch's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, Protocol

from generator.datafiles import DATA, load_data
from generator.errors import DataError
from generator.inspecting.binary import Binary
from generator.inspecting.symbols import Symbols
from generator.model.closed import Closed

_FILE: Final = "pairing.yaml"


@dataclass(frozen=True, kw_only=True)
class PairingNames(Closed):
    """data/pairing.yaml, which explains the words."""

    format: Literal[1]
    #: of the ABI that every build of a torch has
    stable: str
    torch: tuple[str, ...]

    def is_torchs(self, symbol: str) -> bool:
        """Whether only torch can have a symbol."""
        return any(re.fullmatch(pattern, symbol) for pattern in self.torch)

    def is_of_one_build(self, symbol: str) -> bool:
        """Whether another build of the same torch may have it otherwise."""
        return self.is_torchs(symbol) and not re.fullmatch(self.stable, symbol)


@cache
def pairing_names() -> PairingNames:
    """Read data/pairing.yaml; DataError where a row does not fit."""
    names: PairingNames = load_data(_FILE, PairingNames)
    try:
        for pattern in (*names.torch, names.stable):
            re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"{error.pattern!r}: {error}", where=str(DATA / _FILE), next_step="mend the expression"
        ) from error
    return names


@dataclass(frozen=True, kw_only=True)
class Asking(Closed):
    """What one binary needs of the libraries that are loaded with it."""

    #: in the wheel or package
    path: str
    macos: bool
    #: libraries it needs, by file name
    needs: tuple[str, ...]
    #: those of them that are the system's by their path
    system: tuple[str, ...]
    #: symbol -> file name of the library that must have it; "" for any
    symbols: Mapping[str, str]

    @classmethod
    def of(cls, path: str, binary: Binary, symbols: Symbols) -> Asking:
        """Take it from what was read of the binary."""
        return cls(
            path=path,
            macos=binary.format == "macho",
            needs=tuple(dict.fromkeys(posixpath.basename(load.name) for load in binary.needs)),
            system=tuple(
                sorted({posixpath.basename(b.name) for b in binary.needs if b.name[:1] == "/"})
            ),
            symbols={
                n: posixpath.basename(symbols.undefined[n]) for n in sorted(symbols.undefined)
            },
        )

    def plain(self, symbol: str) -> str:
        """Return a symbol without the underscore that macOS puts before it."""
        return symbol.removeprefix("_") if self.macos else symbol


class Shelf(Protocol):
    """The libraries of one wheel or package by file name; read when somebody asks."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, those first that are asked first."""

    def symbols(self, name: str) -> Symbols | None:
        """Return what a library has; None where it has nothing for this machine.

        Raises LinkageError: its tables are corrupt.
        """


@dataclass(frozen=True, order=True)
class Unmet:
    """A symbol that a binary asks for and nobody it is loaded with has."""

    path: str
    symbol: str


def unmet(asking: Iterable[Asking], own: Shelf, torch: Shelf) -> tuple[Unmet, ...]:
    """Return what a companion's binaries ask for in vain, sorted.

    ``own`` are its wheel's libraries, ``torch`` those of the torch it is to be paired with.
    Raises LinkageError: a library that had to be looked into is corrupt.
    """
    found: set[Unmet] = set()
    for each in asking:
        found.update(Unmet(each.path, s) for s in _unmet(each, own, torch))
    return tuple(sorted(found))


def _unmet(asking: Asking, own: Shelf, torch: Shelf) -> Iterator[str]:
    bound: dict[str, set[str]] = {}
    anybodys: set[str] = set()
    for symbol, library in asking.symbols.items():
        if library in torch.names:
            bound.setdefault(library, set()).add(symbol)
        elif pairing_names().is_torchs(asking.plain(symbol)) and not (
            library in own.names or library in asking.system
        ):
            if library:  # that this torch lacks altogether
                yield symbol
            else:
                anybodys.add(symbol)
    for library, symbols in bound.items():
        yield from _lacking(symbols, torch, (library,))
    needed = dict.fromkeys(asking.needs)
    for shelf in (torch, own):
        anybodys = _lacking(anybodys, shelf, (name for name in needed if name in shelf.names))
    for shelf in (own, torch):
        anybodys = _lacking(anybodys, shelf, (name for name in shelf.names if name not in needed))
    yield from anybodys


def _lacking(symbols: set[str], shelf: Shelf, libraries: Iterable[str]) -> set[str]:
    """Return those of ``symbols`` that none of the libraries has, reading as few as it takes."""
    left, todo, seen = symbols, list(libraries), set()
    while left and todo:
        name = todo.pop(0)
        if name in seen or (found := shelf.symbols(name)) is None:
            continue
        seen.add(name)
        left = {symbol for symbol in left if symbol not in found.defined}
        todo += [n for each in found.reexports if (n := posixpath.basename(each)) in shelf.names]
    return left
