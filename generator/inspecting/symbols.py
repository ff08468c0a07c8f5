"""The dynamic symbols of a library: what it has for others, and what it asks of them.

The readers of the three formats check every offset, count and length before they follow it, as
those of the loader's headers do (`binary`), since `update` looks into wheels nobody has judged yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from generator.inspecting.binary import Window
from generator.inspecting.limits import limits

#: what a window gives at once
_CHUNK: Final = 1 << 20


class Names(Protocol):
    """Names of symbols; to ask for one may cost far less than to list them."""

    def __contains__(self, name: object) -> bool:
        """Whether it is one of them."""

    def __iter__(self) -> Iterator[str]:
        """Yield all of them, in no order."""


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """Names only; C++ names stay mangled, and macOS's leading underscore stays."""

    #: global and weak symbols that it defines
    defined: Names
    #: symbols that must be found for it to load (weak ones need not be) -> the library they must
    #: come from: the file of a symbol version, an install name, a DLL; "" for any that is loaded
    undefined: Mapping[str, str]
    #: symbol versions it defines, ``LIBJPEG_8.0``
    versions: frozenset[str] = frozenset()
    #: needed file name -> symbol versions that it must define
    needed_versions: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    #: libraries whose symbols count as its own (LC_REEXPORT_DYLIB)
    reexports: tuple[str, ...] = ()


def read_table(window: Window, offset: int, size: int, what: str) -> bytes:
    """Read a whole table.

    Raises LinkageError: it is not all in the file, or larger than any table of symbols is.
    """
    if size > limits().symbols or offset + size > window.size:
        raise window.bad(f"{what} would be {size} bytes at {offset} of {window.size}")
    return b"".join(
        window.read(offset + done, min(_CHUNK, size - done), what)
        for done in range(0, size, _CHUNK)
    )


class NameTable:
    """Zero-terminated names in one table, which may not unpack to far more than it is."""

    def __init__(self, window: Window, content: bytes) -> None:
        self._window, self._content = window, content
        #: names may share their ends, and real ones hardly do
        self._left = 2 * len(content) + _CHUNK

    def __getitem__(self, place: int) -> str:
        """Return the name at ``place``; LinkageError where there is none, or all are too much."""
        end = self._content.find(b"\0", place)
        if not 0 <= place < len(self._content) or end < 0:
            size = len(self._content)
            raise self._window.bad(f"a name at {place} of {size} bytes of names, or no end of it")
        self._left -= end - place
        if self._left < 0:
            raise self._window.bad("the names of its symbols overlap")
        return self._content[place:end].decode("utf-8", "replace")
