"""What the linkage audit knows of one executable or library, whatever its format.

The readers look at headers only and check every offset and length before they read: a library of
500 MB costs a few kilobytes, and a corrupt header costs an error. That is why they do not use
pyelftools' ELFFile or macholib's MachO, which follow offsets unchecked and read sections whole, nor
pefile, which passes over what is corrupt; they take the names of constants from the first two, and
the tests compare what they find with all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from generator.errors import LinkageError

#: no header structure of a real library comes near this (libtorch_cuda.so: 2 kB of dynamic tags)
_MOST: Final = 1 << 20

Format = Literal["elf", "macho", "pe"]


@dataclass(frozen=True, kw_only=True)
class Load:
    """One library a binary asks for."""

    #: a SONAME, a Mach-O install name with its @ variables, or the file name of a DLL
    name: str
    #: Mach-O compatibility version that is needed at least
    compatibility: tuple[int, ...] = ()
    #: the binary starts without it (LC_LOAD_WEAK_DYLIB, a delayed import of a DLL)
    weak: bool = False


@dataclass(frozen=True, kw_only=True)
class Binary:
    """The part of a binary that decides whether and where it loads."""

    format: Format
    #: as Subdir.binary_machine writes it: ``aarch64``, ``arm``, ``arm64``, ``x86_64``, ``arm64ec``
    machine: str
    #: SONAME, install name or the name in a DLL's exports; None where there is none
    name: str | None = None
    needs: tuple[Load, ...] = ()
    #: DT_RPATH, or LC_RPATH
    rpath: tuple[str, ...] = ()
    #: DT_RUNPATH; None where the tag is absent, which is not the same as empty
    runpath: tuple[str, ...] | None = None
    #: started by the kernel rather than loaded by another binary
    executable: bool = False
    #: highest GLIBC_x.y it asks for, or the macOS version it was built for; () where it says none
    floor: tuple[int, ...] = ()
    #: highest of each other kind of symbol version: GLIBCXX, CXXABI, GCC
    versions: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    #: its code is changed while it is loaded (DT_TEXTREL, DF_TEXTREL)
    text_relocations: bool = False
    #: it asks for a stack that can be executed (PT_GNU_STACK, MH_ALLOW_STACK_EXECUTION)
    executable_stack: bool = False


class Window:
    """A file whose every read is checked against its size."""

    def __init__(self, stream: BinaryIO, size: int, path: str) -> None:
        self._stream, self.size, self.path = stream, size, path

    def read(self, offset: int, length: int, what: str) -> bytes:
        """Return ``length`` bytes at ``offset``.

        Raises LinkageError: they are not all in the file, or far more than ``what`` can be.
        """
        if offset < 0 or length < 0 or length > _MOST or offset + length > self.size:
            raise self.bad(f"{what} would be {length} bytes at {offset} of {self.size}")
        self._stream.seek(offset)
        content = self._stream.read(length)
        if len(content) != length:
            raise self.bad(f"{what} ends after {len(content)} of {length} bytes")
        return content

    def text(self, offset: int, limit: int, what: str) -> str:
        """Return the zero-terminated text at ``offset``, of at most ``limit`` bytes.

        Raises LinkageError: it does not end there.
        """
        content = self.read(offset, max(0, min(limit, 4096, self.size - offset)), what)
        end = content.find(b"\0")
        if end < 0:
            raise self.bad(f"{what} at {offset} does not end")
        return content[:end].decode("utf-8", "replace")

    def bad(self, what: str) -> LinkageError:
        """Build the error that says this file's headers make no sense."""
        return LinkageError(
            f"its headers are corrupt: {what}",
            where=self.path,
            next_step="compare the wheel's sha256 with the lock and fetch it again",
        )


def dotted(version: tuple[int, ...]) -> str:
    """Write a version tuple with dots."""
    return ".".join(str(part) for part in version)
