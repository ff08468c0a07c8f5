"""The dynamic symbols of an ELF library: what it has for others, and what it asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from generator.errors import LinkageError

#: what pyelftools raises on files whose tables make no sense, besides its own errors
_CORRUPT: Final = (ELFError, ValueError, KeyError, IndexError, OverflowError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """Names only; C++ names stay mangled."""

    #: global and weak symbols that it defines
    defined: frozenset[str]
    #: symbols that must be found in another library for it to load (weak ones need not be)
    undefined: frozenset[str]
    #: symbol versions it defines, ``LIBJPEG_8.0``
    versions: frozenset[str]
    #: needed file name -> symbol versions that it must define
    needed_versions: Mapping[str, frozenset[str]]


def read_symbols(stream: BinaryIO, path: str) -> Symbols:
    """Read .dynsym and the version sections; the stream must be able to seek.

    pyelftools does it, and follows what the file says unchecked: for files that a person names,
    not for members of an archive that is yet to be judged.

    Raises:
        LinkageError: it is no ELF library, or its tables make no sense.

    """
    try:
        file = ELFFile(stream)
        table: Any = file.get_section_by_name(".dynsym")
        if table is None:
            raise _bad("it has no dynamic symbols", path)
        defined, undefined = set(), set()
        for symbol in table.iter_symbols():
            bind = symbol["st_info"]["bind"]
            if symbol["st_shndx"] != "SHN_UNDEF":
                if bind != "STB_LOCAL":
                    defined.add(symbol.name)
            elif bind == "STB_GLOBAL" and symbol.name:
                undefined.add(symbol.name)
        return Symbols(
            defined=frozenset(defined),
            undefined=frozenset(undefined),
            versions=_defined_versions(file),
            needed_versions=_needed_versions(file),
        )
    except _CORRUPT as error:
        raise _bad(f"its symbols cannot be read: {error}", path) from error


def _defined_versions(file: Any) -> frozenset[str]:
    section = file.get_section_by_name(".gnu.version_d")
    if section is None:
        return frozenset()
    return frozenset(part.name for _, parts in section.iter_versions() for part in parts)


def _needed_versions(file: Any) -> Mapping[str, frozenset[str]]:
    section = file.get_section_by_name(".gnu.version_r")
    if section is None:
        return MappingProxyType({})
    return MappingProxyType(
        {row.name: frozenset(p.name for p in parts) for row, parts in section.iter_versions()}
    )


def _bad(what: str, path: str) -> LinkageError:
    return LinkageError(what, where=path, next_step="name an ELF library")
