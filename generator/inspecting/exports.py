"""``map exports``: whether a library has what our binaries take from their bundled copy."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from generator.errors import AbsentError, LinkageError
from generator.inspecting.members import BinaryMember, binary_members
from generator.inspecting.reading import read_symbols
from generator.inspecting.symbols import Symbols
from generator.naming import plain_names, sonames


@dataclass(frozen=True, kw_only=True)
class Exports:
    """What is taken from one library, and what of it another build lacks."""

    library: str
    #: paths of the binaries that need it
    users: tuple[str, ...]
    #: symbols that they take from the bundled copy
    needed: tuple[str, ...]
    missing: tuple[str, ...]
    #: symbol versions that they ask for and the other build does not define
    missing_versions: tuple[str, ...]

    def check(self) -> None:
        """Raise LinkageError where something is missing."""
        lacking = (*self.missing_versions, *self.missing)
        if lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            raise LinkageError(
                f"it lacks {', '.join(lacking[:5])}{more}",
                where=self.library,
                next_step="keep the bundled copy (action: keep in generator/data/sonames.yaml)",
            )


def compare_exports(provider: Path, needed_by: Path, *, library: str | None = None) -> Exports:
    """Compare what ``provider`` exports with what binaries take from their bundled copy.

    Which undefined symbols come from which library an ELF file does not say, so the bundled copy
    tells: what its users leave undefined and it defines.
    ``provider`` is an ELF library or a .conda file that has one, ``needed_by`` a wheel or .conda
    file with the bundled copy and its users. ``library`` is the SONAME, else the provider's own.
    Raises AbsentError: a file does not exist, has no such library, or no copy of it. LinkageError:
    a file is no ELF library. IntegrityError: an archive is damaged.
    """
    library, offered = _offered(provider, library)
    copy: frozenset[str] | None = None
    undefined: set[str] = set()
    versions: set[str] = set()
    users = []
    for member in binary_members(needed_by):
        found = member.binary
        asked = [load.name for load in found.needs if _is(load.name, library)]
        if found.format != "elf" or not (asked or _is(found.name or member.path, library)):
            continue
        symbols = _symbols(member, needed_by)
        if asked:
            users.append(member.path)
            undefined |= set(symbols.undefined)
            for name in asked:
                versions |= symbols.needed_versions.get(name, frozenset())
        else:
            copy = frozenset(symbols.defined)
    if copy is None:
        raise AbsentError(
            f"it bundles no copy of {library}, so what is taken from it cannot be told",
            where=str(needed_by),
            next_step="name the wheel that bundles it",
        )
    needed = undefined & copy
    return Exports(
        library=library,
        users=tuple(sorted(users)),
        needed=tuple(sorted(needed)),
        missing=tuple(sorted(name for name in needed if name not in offered.defined)),
        missing_versions=tuple(sorted(versions - offered.versions)),
    )


def _offered(provider: Path, library: str | None) -> tuple[str, Symbols]:
    """Return the SONAME and the symbols of the library that ``provider`` has."""
    for member in binary_members(provider):
        name = member.binary.name
        if member.binary.format == "elf" and name and library in (None, name):
            return name, _symbols(member, provider)
    raise AbsentError(
        f"it has no ELF library with SONAME {library or ''}".rstrip(),
        where=str(provider),
        next_step="name the library's file, or its SONAME: --library",
    )


def _is(name: str, library: str) -> bool:
    """Whether a file's name or a needed one is a library's, whatever a wheel tool made of it."""
    row = sonames("linux-aarch64").identify(name)
    return library in plain_names(name) or (row is not None and row.name == library)


def _symbols(member: BinaryMember, archive: Path) -> Symbols:
    path, machine = f"{archive}: {member.path}", member.binary.machine
    size = member.stream.seek(0, io.SEEK_END)
    symbols = read_symbols(member.stream, size, path, machine)
    if symbols is None or not (symbols.undefined or any(True for _ in symbols.defined)):
        raise LinkageError("it has no dynamic symbols", where=path, next_step="name an ELF library")
    return symbols
