"""Rules L-014 to L-023: for each an example that fails it and one that does not."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from generator.inspecting import AuditReport, Sibling, audit_together
from tests.unit.audits import ARM, MAC, WIN, audit, ids
from tests.unit.binaries import elf, macho, pe

UP = "../../.."


def executable_stack() -> bytes:
    stack = struct.pack("<I", 0x6474E551)
    content = elf(soname="libx.so")
    assert stack + b"\6" in content
    return content.replace(stack + b"\6", stack + b"\7")


def text_relocations(*, flags: bool) -> bytes:
    """A RUNPATH's tag turned into DT_TEXTREL, or into DT_FLAGS with DF_TEXTREL."""
    content = elf(soname="libx.so", runpath="$ORIGIN")
    at = content.index(struct.pack("<q", 29), 0x100)
    tag = struct.pack("<qQ", 30, 4) if flags else struct.pack("<qQ", 22, 0)
    return content[:at] + tag + content[at + 16 :]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (text_relocations(flags=False), "L-015"),
        (text_relocations(flags=True), "L-015"),
        (executable_stack(), "L-016"),
    ],
)
def test_what_hardened_systems_refuse_is_an_error(content: bytes, rule: str) -> None:
    assert ids(audit({"lib/libx.so": content})) == [(rule, "lib/libx.so", "")]
    assert ids(audit({"lib/libx.so": elf(soname="libx.so", runpath="$ORIGIN")})) == []


def test_a_mac_library_may_not_ask_for_an_executable_stack() -> None:
    content = bytearray(macho(name="@rpath/libx.dylib"))
    kept: dict[str, Any] = {"subdir": MAC, "declared": ["__osx >=14.0"]}
    assert ids(audit({"lib/libx.dylib": bytes(content)}, **kept)) == []
    content[24:28] = struct.pack("<I", 0x20000)
    assert ids(audit({"lib/libx.dylib": bytes(content)}, **kept))[0][0] == "L-016"


def test_a_library_that_stays_bundled_needs_a_policy_row() -> None:
    openblas = {"lib/libopenblas-24fd393f.so.0": elf(soname="libopenblas.so.0")}
    acl = {"lib/libarm_compute.so": elf()}
    for files in (openblas, acl):
        report = audit(files)
        assert ids(report) == []
        (note,) = [found for found in report.notes if found.rule.id == "L-014"]
        assert note.accepted.endswith("(2026-11-22)")
        assert {found[0] for found in ids(audit(files, package="torchtext"))} == {"L-014"}


def test_one_package_has_one_file_of_each_library_name() -> None:
    twice = {"lib/libx.so.1": elf(soname="libx.so.1"), "lib/b/libx-1.so": elf(soname="libx.so.1")}
    report = audit(twice)
    assert ids(report) == [("L-017", "lib/b/libx-1.so", "libx.so.1")]
    assert "lib/b/libx-1.so, lib/libx.so.1 are all libx.so.1" in str(report.errors[0])
    assert ids(audit({"lib/libx.so.1": twice["lib/libx.so.1"]}, {"lib/libx.so": "libx.so.1"})) == []
    # two programs may well be called the same, and have no name that others ask for
    programs = {path: elf(soname="x", program=True) for path in ("bin/a/x", "bin/b/x")}
    assert ids(audit(programs)) == []


def test_windows_goes_by_file_names_in_any_case() -> None:
    kept: dict[str, Any] = {"subdir": WIN, "package": "pytorch"}
    files = {"Library/bin/c10.dll": pe(), "Lib/site-packages/torch/lib/C10.dll": pe()}
    assert [found[0] for found in ids(audit(files, **kept))] == ["L-017"]
    renamed = {"Library/bin/c10.dll": pe(), "Library/bin/c10_cuda.dll": pe(name="c10.dll")}
    assert ids(audit(renamed, **kept)) == []


def test_a_needed_library_without_a_name_is_noted() -> None:
    files = {"lib/libb.so": elf(["liba.so"], runpath="$ORIGIN"), "lib/liba.so": elf()}
    assert ids(audit(files), "note") == [("L-018", "lib/liba.so", "liba.so")]
    files["lib/liba.so"] = elf(soname="liba.so")
    assert ids(audit(files), "note") == []


def test_absolute_paths_in_needs_and_names_are_errors() -> None:
    assert ids(audit({"lib/a.so": elf(["/build/lib/libx.so"])})) == [
        ("L-019", "lib/a.so", "/build/lib/libx.so")
    ]
    kept: dict[str, Any] = {"subdir": MAC, "declared": ["__osx >=14.0"]}
    load = "/opt/homebrew/opt/libomp/lib/libomp.dylib"
    assert ids(audit({"lib/a.dylib": macho([load])}, **kept)) == [("L-019", "lib/a.dylib", load)]
    named = {"lib/a.dylib": macho(name="/Users/ci/build/a.dylib")}
    assert ids(audit(named, **kept)) == [("L-020", "lib/a.dylib", "")]
    system = {"lib/a.dylib": macho(["/usr/lib/libSystem.B.dylib"], name="@rpath/a.dylib")}
    assert ids(audit(system, **kept)) == []


@pytest.mark.parametrize(
    "text",
    [
        b'set(DIR "/tmp/tmp1a2b/wheel/platlib/torch/include")',
        b"libdir=/__w/pytorch/pytorch/build",
        b'"/Users/ec2-user/runner/_work/x"',
        rb'"C:\actions-runner\_work\x"',
        b"/croot/libpng_1/conda-bld/libpng/work",
    ],
)
def test_a_build_machines_folder_in_a_text_file_is_noted(text: bytes) -> None:
    found = audit({"share/cmake/ATen/ATenConfig.cmake": text})
    assert [row[0] for row in ids(found, "note")] == ["L-021"]
    assert ids(audit({"share/torch/notes.txt": text}), "note") == []


def test_what_a_text_file_may_name_is_not_noted() -> None:
    text = b'if(EXISTS "/usr/local/cuda") # https://github.com/pytorch/pytorch/home\n/opt/rocm'
    assert audit({"share/cmake/Caffe2/FindCUDA.cmake": text}).findings == ()


def test_an_x64_library_with_arm_code_is_for_another_process() -> None:
    """ARM64EC: a load configuration with CHPE metadata (offset 200) at the section's beginning."""

    def image(metadata: int) -> bytes:
        content = bytearray(pe(body=struct.pack("<I196xQ", 208, metadata), machine=0x8664))
        struct.pack_into("<II", content, 64 + 24 + 112 + 8 * 10, 0x1000, 208)
        return bytes(content)

    for metadata, machine in ((0, "x86_64"), (0x180001000, "arm64ec")):
        report = audit({"Library/bin/c10.dll": image(metadata)}, subdir=WIN)
        assert report.errors[0].what == f"it is for {machine}, not arm64"


def test_windows_finds_dlls_beside_in_library_bin_and_in_torch_lib() -> None:
    system = ["KERNEL32.dll", "api-ms-win-crt-heap-l1-1-0.dll", "python312.dll"]
    kept: dict[str, Any] = {"subdir": WIN, "package": "libtorch", "python": None}
    libtorch = audit(
        {
            "Library/bin/c10.dll": pe([*system, "VCRUNTIME140.dll"]),
            "Library/bin/torch_cpu.dll": pe(["C10.DLL", "MSVCP140.dll"], delayed=["nvcuda.dll"]),
        },
        declared=["vc14_runtime >=14.42"],
        **kept,
    )
    assert libtorch.findings == ()
    kept |= {"package": "torchvision", "siblings": [Sibling.audited(libtorch)]}
    vision = "Lib/site-packages/torchvision"
    files = {
        f"{vision}/_C.pyd": pe(["torch_cpu.dll", "beside.dll"]),
        f"{vision}/beside.dll": pe(),
        "Lib/site-packages/torch/lib/inside.dll": pe(),
        f"{vision}/image.pyd": pe(["inside.dll"]),
    }
    assert ids(audit(files, declared=["libtorch"], **kept)) == []
    hidden = {"Library/elsewhere/x.dll": pe(), f"{vision}/_C.pyd": pe(["x.dll"])}
    assert ids(audit(hidden, **kept)) == [("L-005", f"{vision}/_C.pyd", "x.dll")]
    # nobody has it; what is loaded at first use only may be missing
    assert ids(audit({f"{vision}/_C.pyd": pe(["nope.dll"])}, **kept)) == [
        ("L-003", f"{vision}/_C.pyd", "nope.dll")
    ]
    assert ids(audit({f"{vision}/_C.pyd": pe(delayed=["nope.dll"])}, **kept)) == []


def test_a_windows_program_does_not_look_beside_its_libraries() -> None:
    folder = "Lib/site-packages/torchvision"
    files = {
        "Scripts/tool.exe": pe(["c10.dll"], program=True),
        "Library/bin/c10.dll": pe(["beside.dll"]),
    }
    kept: dict[str, Any] = {"subdir": WIN, "python": None}
    assert ids(audit(files | {"Library/bin/beside.dll": pe()}, **kept)) == []
    found = ids(audit(files | {f"{folder}/beside.dll": pe()}, **kept))
    assert ("L-005", "Scripts/tool.exe", "beside.dll") in found


def trio(**more: Any) -> tuple[AuditReport, AuditReport]:
    libtorch = audit(
        {"lib/libtorch_cpu.so": elf(["libgomp.so.1"], soname="libtorch_cpu.so")},
        declared=["_openmp_mutex >=4.5"],
    )
    vision = audit(
        {f"site-packages/torchvision/{name}": content for name, content in more.items()},
        package="torchvision",
        siblings=[Sibling.audited(libtorch, depends=["_openmp_mutex >=4.5"])],
        declared=["libtorch", "_openmp_mutex >=4.5"],
    )
    return libtorch, vision


def test_packages_of_one_environment_share_one_openmp_runtime() -> None:
    shared = {"_C": elf(["libgomp.so.1", "libtorch_cpu.so"])}
    assert audit_together(trio(**shared), subdir=ARM) == ()
    (second,) = audit_together(trio(libomp=elf(soname="libomp.so")), subdir=ARM)
    assert (second.rule.id, second.severity, second.name) == ("L-022", "error", "OpenMP runtime")
    assert "lib/libgomp.so.1 of _openmp_mutex" in second.what
    assert "torchvision/libomp of torchvision" in second.what


def test_a_mangled_name_counts_as_the_library_its_link_leads_to() -> None:
    lib = "site-packages/torchvision.libs"
    report = audit(
        {
            "site-packages/torchvision/_C.so": elf(
                ["libgomp-1a2b.so.1"], rpath="$ORIGIN/../torchvision.libs"
            )
        },
        {f"{lib}/libgomp-1a2b.so.1": f"{UP}/libgomp.so.1"},
        package="torchvision",
        declared=["_openmp_mutex >=4.5"],
    )
    assert report.errors == ()
    assert {(p.library, p.package) for p in report.providers} == {("libgomp.so.1", "_openmp_mutex")}


def test_packages_of_one_environment_have_one_file_of_each_name() -> None:
    (twice,) = audit_together(trio(copy=elf(soname="libtorch_cpu.so")), subdir=ARM)
    assert (twice.rule.id, twice.name) == ("L-017", "libtorch_cpu.so")
    assert "lib/libtorch_cpu.so of libtorch" in twice.what
    assert audit_together(trio(other=elf(soname="libother.so")), subdir=ARM) == ()


def test_packages_of_one_environment_have_the_symbols_they_ask_each_other_for() -> None:
    exports = ["aoti_torch_empty", "_ZN2at6Tensor1fEv"]
    libtorch = audit(
        {"lib/libtorch_cpu.so": elf(soname="libtorch_cpu.so", defines=exports)},
        declared=["_openmp_mutex >=4.5"],
    )

    def audio(*asks: str) -> AuditReport:
        content = elf(["libtorch_cpu.so"], asks=dict.fromkeys(("jpeg_start", *asks), ""))
        return audit({"site-packages/torchaudio/lib/_a.so": content}, package="torchaudio")

    assert audit_together([libtorch, audio(*exports)], subdir=ARM) == ()
    (found,) = audit_together([libtorch, audio(*exports, "torch_new", "_ZN3c101fEv")], subdir=ARM)
    assert (found.rule.id, found.severity) == ("L-023", "error")
    assert found.file.endswith("torchaudio/lib/_a.so")
    assert found.what == "no library of torch's has _ZN3c101fEv, torch_new"
    # without a torch beside it nothing can be said
    assert audit_together([audio("torch_new")], subdir=ARM) == ()
