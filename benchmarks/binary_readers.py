"""Our readers of binaries against pyelftools, macholib and pefile, on all libraries of wheels.

``python -m benchmarks.binary_readers WHEEL...`` prints per format, as JSON: libraries, those of
which the two say different things, the CPU seconds of each, and the bytes that the other one read.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pefile
from elftools.elf.elffile import ELFFile
from macholib import mach_o
from macholib.MachO import MachO

from generator.inspecting.binary import Window
from generator.inspecting.elf import read_elf
from generator.inspecting.elf_symbols import read_elf_symbols
from generator.inspecting.macho import LOADS, MAGICS, read_macho
from generator.inspecting.pe import read_pe
from generator.inspecting.pe_symbols import read_pe_symbols

#: what is compared: names of needed libraries, the own name, search folders, what it defines, what
#: it asks for
Said = tuple[list[str], str | None, list[str], set[str], set[str]]


class Counting(io.FileIO):
    """A file that knows how much of it was read."""

    amount = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(-1 if size is None else size) or b""
        self.amount += len(content)
        return content


def our_elf(window: Window) -> Said:
    binary, symbols = read_elf(window), read_elf_symbols(window)
    folders = [*binary.rpath, *(binary.runpath or ())]
    needs = [load.name for load in binary.needs]
    return needs, binary.name, folders, set(symbols.defined), set(symbols.undefined)


def their_elf(file: BinaryIO) -> Said:
    elf: Any = ELFFile(file)
    found: dict[str, list[str]] = {"needed": [], "soname": [], "rpath": [], "runpath": []}
    for segment in elf.iter_segments("PT_DYNAMIC"):
        for tag in segment.iter_tags():
            kind = str(tag.entry.d_tag).removeprefix("DT_").lower()
            if kind in found:
                found[kind].append(getattr(tag, kind))
    defined, undefined = set(), set()
    if (table := elf.get_section_by_name(".dynsym")) is not None:
        for symbol in table.iter_symbols():
            bind = symbol.entry.st_info.bind
            if symbol.entry.st_shndx != "SHN_UNDEF":
                if bind != "STB_LOCAL":
                    defined.add(symbol.name)
            elif bind == "STB_GLOBAL" and symbol.name:
                undefined.add(symbol.name)
    folders = [f for text in (*found["rpath"], *found["runpath"]) for f in text.split(":") if f]
    return found["needed"], next(iter(found["soname"]), None), folders, defined, undefined


def our_macho(window: Window) -> Said:
    (binary,) = read_macho(window)
    return [load.name for load in binary.needs], binary.name, list(binary.rpath), set(), set()


def their_macho(file: BinaryIO) -> Said:
    """Load commands alone: macholib knows neither export tries nor fixups."""
    read = MachO.__new__(MachO)
    read.graphident = read.filename = read.loader_path = ""
    read.fat, read.headers, read.allow_unknown_load_commands = None, [], True
    read.load(file)
    (header,) = read.headers

    def texts(*kinds: int) -> list[str]:
        rows = (data for load, _, data in header.commands if load.cmd in kinds)
        return [data.split(b"\0")[0].decode() for data in rows]

    name = next(iter(texts(mach_o.LC_ID_DYLIB)), None)
    return texts(*LOADS), name, texts(mach_o.LC_RPATH), set(), set()


def our_pe(window: Window) -> Said:
    (binary,), symbols = read_pe(window), read_pe_symbols(window)
    assert symbols is not None
    needs = [load.name for load in binary.needs]
    return needs, binary.name, [], set(symbols.defined), set(symbols.undefined)


def their_pe(file: BinaryIO) -> Said:
    image = pefile.PE(cast("Any", file).name, fast_load=True)
    image.parse_data_directories([0, 1, 13])
    imports = getattr(image, "DIRECTORY_ENTRY_IMPORT", [])
    delayed = getattr(image, "DIRECTORY_ENTRY_DELAY_IMPORT", [])
    exports = getattr(image, "DIRECTORY_ENTRY_EXPORT", None)
    name = exports.name.decode() if exports else None
    defined = {each.name.decode() for each in exports.symbols if each.name} if exports else set()
    undefined = {each.name.decode() for dll in imports for each in dll.imports if each.name}
    return [dll.dll.decode() for dll in (*imports, *delayed)], name, [], defined, undefined


Pair = tuple[Callable[[Window], Said], Callable[[BinaryIO], Said]]
FORMATS: dict[str, Pair] = {
    "elf": (our_elf, their_elf),
    "macho": (our_macho, their_macho),
    "pe": (our_pe, their_pe),
}


def format_of(magic: bytes) -> str:
    """Return a file's format; "" for what is no binary."""
    if magic in MAGICS:
        return "macho"
    return "elf" if magic == b"\x7fELF" else "pe" if magic.startswith(b"MZ") else ""


def libraries(wheels: list[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Unpack one binary after the other."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    kind = format_of(member.read(4))
                if kind:
                    path = Path(archive.extract(info, folder))
                    yield kind, path
                    path.unlink()


def main(wheels: list[str]) -> None:
    found = {kind: Counter[str]() for kind in FORMATS}
    spent = {kind: [0.0, 0.0] for kind in FORMATS}
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in libraries(wheels, Path(folder)):
            ours, theirs = FORMATS[kind]
            with Counting(path) as file:
                stream = cast("BinaryIO", file)
                began = time.process_time()
                one = ours(Window(stream, path.stat().st_size, path.name))
                between = time.process_time()
                file.seek(0)
                file.amount = 0
                other = theirs(stream)
                spent[kind][0] += between - began
                spent[kind][1] += time.process_time() - between
                found[kind].update(
                    libraries=1,
                    differing=one != other,
                    symbols=len(one[3]) + len(one[4]),
                    bytes=path.stat().st_size,
                    bytes_they_read=file.amount,
                )
    print(
        json.dumps(
            {
                kind: {
                    **found[kind],
                    "our_seconds": round(ours, 3),
                    "their_seconds": round(theirs, 3),
                    "times": round(theirs / ours, 1) if ours else 0,
                }
                for kind, (ours, theirs) in spent.items()
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
