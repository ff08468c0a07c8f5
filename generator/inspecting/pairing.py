"""Whether a companion finds beside a torch the symbols that it was linked against (design D14).

METADATA says with which torch a companion's author means it to work; the symbols say with which it
loads. torchaudio 2.11.1 says ``torch>=2.11`` and asks for three functions that came with 2.13.

A binary tells what it leaves undefined, and, on macOS and Windows and for versioned symbols on
Linux, from which library it has to come. What comes from a library that is neither the companion's
own nor torch's is the system's or another package's, and judged where those are (`audit`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, Protocol

from pydantic import ConfigDict

from generator.datafiles import DATA, load_data
from generator.errors import DataError
from generator.inspecting.binary import Binary
from generator.inspecting.symbols import Symbols

_FILE: Final = "pairing.yaml"


@dataclass(frozen=True, kw_only=True)
class PairingNames:
    """data/pairing.yaml, which explains the words."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: Literal[1]
    torch: tuple[str, ...]
    interpreter: tuple[str, ...]

    def is_torchs(self, symbol: str) -> bool:
        """Whether only torch can have a symbol."""
        return any(re.fullmatch(pattern, symbol) for pattern in self.torch)

    def is_interpreters(self, symbol: str) -> bool:
        """Whether the Python interpreter has a symbol."""
        return any(re.fullmatch(pattern, symbol) for pattern in self.interpreter)


@cache
def pairing_names() -> PairingNames:
    """Read data/pairing.yaml; DataError where a row does not fit."""
    names: PairingNames = load_data(_FILE, PairingNames)
    try:
        for pattern in (*names.torch, *names.interpreter):
            re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"{error.pattern!r}: {error}", where=str(DATA / _FILE), next_step="mend the expression"
        ) from error
    return names


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What one binary needs of the libraries that are loaded with it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    #: in the wheel or package
    path: str
    macos: bool
    #: libraries it needs, by file name
    needs: tuple[str, ...]
    #: those of them that are the system's by their path
    system: tuple[str, ...]
    #: those whose symbols it asks for by version: it takes no others from them
    versioned: tuple[str, ...]
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
            versioned=tuple(sorted(symbols.needed_versions)),
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

        Raises:
            LinkageError: its tables are corrupt.

        """


@dataclass(frozen=True, order=True)
class Unmet:
    """A symbol that a binary asks for and nobody it is loaded with has."""

    path: str
    symbol: str


def unmet(
    asking: Iterable[Asking], own: Shelf, torch: Shelf, is_system: Callable[[str], bool]
) -> tuple[Unmet, ...]:
    """Return what a companion's binaries ask for in vain, sorted.

    Args:
        asking: its binaries.
        own: its wheel's libraries.
        torch: those of the torch it is to be paired with.
        is_system: whether a library by that name is one whose symbols all have versions.

    Raises:
        LinkageError: a library that had to be looked into is corrupt.

    """
    found: set[Unmet] = set()
    for each in asking:
        found.update(Unmet(each.path, s) for s in _unmet(each, own, torch, is_system))
    return tuple(sorted(found))


def _unmet(
    asking: Asking, own: Shelf, torch: Shelf, is_system: Callable[[str], bool]
) -> Iterable[str]:
    names = pairing_names()
    anybodys: set[str] = set()
    bound: dict[str, set[str]] = {}
    for symbol, library in asking.symbols.items():
        if library in torch.names:
            bound.setdefault(library, set()).add(symbol)
        elif library and library not in own.names:
            # from a library that torch once had, or has in another build of it
            if names.is_torchs(asking.plain(symbol)) and library not in asking.system:
                yield symbol
        elif not library and not names.is_interpreters(asking.plain(symbol)):
            anybodys.add(symbol)
    for library, symbols in bound.items():
        yield from _lacking(symbols, torch, (library,))
    anybodys = _lacking(anybodys, torch, (n for n in asking.needs if n in torch.names))
    anybodys = _lacking(anybodys, own, own.names)
    anybodys = _lacking(anybodys, torch, (n for n in torch.names if n not in asking.needs))
    known = {*own.names, *torch.names, *asking.versioned, *asking.system}
    all_known = all(need in known or is_system(need) for need in asking.needs)
    yield from (s for s in anybodys if all_known or names.is_torchs(asking.plain(s)))


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
