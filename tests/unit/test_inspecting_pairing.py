"""What a companion asks for is held against what its own libraries and torch's have (D14)."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

from generator.inspecting import Asking, Symbols, read_binary, read_symbols, unmet
from generator.inspecting.pairing import pairing_names
from tests.synthetic_wheels.elf import elf
from tests.synthetic_wheels.macho import macho
from tests.synthetic_wheels.pe import pe

SHIM, NEW, CALL = (
    "aoti_torch_empty",
    "torch_new_stable_ivalue",
    "_ZN2at4_ops3add4callERKNS_6TensorE",
)
LIBC = {"libc.so.6": ["GLIBC_2.17"]}
CPU, VISION = "@rpath/libtorch_cpu.dylib", "@rpath/libtorch.dylib"


class Shelf:
    """Libraries that are at hand, and which of them were looked into."""

    def __init__(self, files: Mapping[str, bytes], machine: str) -> None:
        self._files, self._machine = files, machine
        self.names = tuple(files)
        self.asked: list[str] = []

    def symbols(self, name: str) -> Symbols | None:
        self.asked.append(name)
        content = self._files[name]
        return read_symbols(io.BytesIO(content), len(content), name, self._machine)


def lacking(
    companion: bytes,
    torch: Mapping[str, bytes],
    own: Mapping[str, bytes] | None = None,
    machine: str = "aarch64",
) -> tuple[list[str], list[str]]:
    """Return the unmet symbols, and the libraries of torch that were looked into."""
    symbols = read_symbols(io.BytesIO(companion), len(companion), "x/_C.dll", machine)
    assert symbols is not None
    (binary,) = read_binary(io.BytesIO(companion), len(companion), "x/_C.dll")
    asking = Asking.of("x/_C.dll", binary, symbols)
    shelf = Shelf(torch, machine)
    found = unmet([asking], Shelf({"_C.dll": companion, **(own or {})}, machine), shelf)
    return [each.symbol for each in found], shelf.asked


TORCH = {
    "libc10.so": elf(defines=["_ZN3c105ErrorD1Ev"]),
    "libtorch_cpu.so": elf(defines=[SHIM, CALL]),
    "libtorch_cuda.so": elf(defines=["aoti_torch_cuda"]),
}


def test_what_torch_exports_is_met_and_nothing_else_is_looked_into() -> None:
    companion = elf(["libtorch_cpu.so"], defines=["PyInit__C"], asks={SHIM: "", CALL: ""})
    assert lacking(companion, TORCH) == ([], ["libtorch_cpu.so"])


def test_a_symbol_of_torchs_that_no_library_has_is_unmet() -> None:
    companion = elf(["libtorch_cpu.so"], asks={SHIM: "", NEW: "", "_ZN3c104moreEv": ""})
    assert lacking(companion, TORCH)[0] == ["_ZN3c104moreEv", NEW]


def test_a_library_that_another_one_brings_counts() -> None:
    companion = elf(["libtorch_cpu.so"], asks={"_ZN3c105ErrorD1Ev": ""})
    assert lacking(companion, TORCH)[0] == []


def test_a_weak_symbol_need_not_be_there() -> None:
    assert lacking(elf(["libtorch_cpu.so"], weak=[NEW]), TORCH)[0] == []


def test_what_the_companion_itself_has_is_met() -> None:
    companion = elf(["libmore.so"], asks={NEW: "", "_ZN2at9my_kernelEv": ""})
    own = {"libmore.so": elf(defines=[NEW, "_ZN2at9my_kernelEv"])}
    assert lacking(companion, TORCH, own)[0] == []


@pytest.mark.parametrize(
    "symbol",
    ["PyObject_Call", "_Py_Dealloc", "dlsym", "_ZNSt6localeD1Ev", "jpeg_start", "avio_open"],
)
def test_what_is_not_torchs_by_its_name_is_another_ones_matter(symbol: str) -> None:
    assert lacking(elf(["libtorch_cpu.so"], asks={symbol: ""}), TORCH)[0] == []


def test_a_symbol_with_the_version_of_another_file_is_that_files() -> None:
    companion = elf(["libtorch_cpu.so"], asks={"memcpy": "GLIBC_2.17"}, versions=LIBC)
    assert lacking(companion, TORCH) == ([], [])


def mac(binds: Mapping[str, str], **more) -> bytes:
    loads = [CPU, VISION, "/usr/lib/libc++.1.dylib", "@rpath/libtorch_cuda.dylib"]
    return macho(loads, binds=binds, **more)


MAC = {
    "libtorch.dylib": macho(exports=["_torch_version"], reexports=[CPU], binds={}),
    "libtorch_cpu.dylib": macho(exports=[f"_{SHIM}", f"_{CALL}"]),
}


@pytest.mark.parametrize("fixups", [0, 1, 2, 3])
def test_a_mac_symbol_has_to_be_in_the_library_it_is_bound_to(fixups: int) -> None:
    def asks(name: str, library: str) -> list[str]:
        return lacking(mac({f"_{name}": library}, fixups=fixups), MAC, machine="arm64")[0]

    assert asks(SHIM, CPU) == []
    # libtorch.dylib exports what libtorch_cpu.dylib has, but not the other way round
    assert asks(SHIM, VISION) == []
    assert asks("torch_version", CPU) == ["_torch_version"]
    assert asks(NEW, CPU) == [f"_{NEW}"]
    assert asks("anything", CPU) == ["_anything"]
    assert asks("anything", "/usr/lib/libc++.1.dylib") == []
    assert asks("torch_in_cxx", "/usr/lib/libc++.1.dylib") == []
    # a library that this torch lacks altogether
    assert asks("aoti_torch_cuda", "@rpath/libtorch_cuda.dylib") == ["_aoti_torch_cuda"]
    # looked up in whatever is loaded, as the interpreter's are
    assert asks("PyObject_Call", "") == []
    assert asks(SHIM, "") == []
    assert asks(NEW, "") == [f"_{NEW}"]


def test_a_weak_mac_symbol_need_not_be_there() -> None:
    assert lacking(mac({f"_{NEW}": CPU}, weak=[f"_{NEW}"]), MAC, machine="arm64")[0] == []


def test_a_dlls_names_have_to_be_in_the_dll_they_are_imported_from() -> None:
    torch = {"torch_cpu.dll": pe(name="torch_cpu.dll", exports=[SHIM])}

    def asks(name: str) -> list[str]:
        companion = pe(
            ["torch_cpu.dll", "KERNEL32.dll"],
            asks={"torch_cpu.dll": [name], "KERNEL32.dll": ["Sleep"]},
        )
        return lacking(companion, torch, machine="arm64")[0]

    assert [asks(SHIM), asks("other")] == [[], ["other"]]


@pytest.mark.parametrize(
    ("symbol", "is_torchs"),
    [
        ("torch_exception_get_what", True),
        ("aoti_torch_delete_tensor_object", True),
        ("THPVariableClass", True),
        ("_Z16THPVariable_WrapN2at10TensorBaseE", True),
        ("_ZTIN3c105ErrorE", True),
        ("_ZNK5torch3jit5ValueE", True),
        ("_ZNSt6vectorIN2at6TensorESaIS1_EED1Ev", True),
        ("_ZN4c10d7Backend1fEv", True),
        ("_ZN8pybind114noneE", False),
        ("pytorch_like", False),
        ("_ZNSt12bad_weak_ptrD1Ev", False),
        ("cudaMalloc", False),
        ("_ZN6folded2atEv", False),
    ],
)
def test_torchs_names_are_known_by_themselves(symbol: str, is_torchs: bool) -> None:
    assert pairing_names().is_torchs(symbol) is is_torchs
