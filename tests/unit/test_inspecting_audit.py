from __future__ import annotations

from typing import Any

import pytest

from generator.errors import LinkageError
from generator.inspecting import AuditReport, Rule, Sibling
from generator.inspecting.findings import linkage_policy
from generator.model import PythonBuild
from tests.unit.audits import MAC, audit, ids
from tests.unit.binaries import X86_64, elf, fat, macho, macho_x86_64

TORCH_LIB = "site-packages/torch/lib"
UP = "../../../.."


def test_a_package_that_finds_everything_has_no_findings() -> None:
    report = audit(
        {
            "lib/libtorch.so": elf(
                ["libc10.so", "libgomp.so.1", "libc.so.6"],
                runpath="$ORIGIN",
                versions={"libc.so.6": ["GLIBC_2.28"]},
            ),
            "lib/libc10.so": elf(["libstdc++.so.6", "ld-linux-aarch64.so.1"], soname="libc10.so"),
            "share/readme.txt": b"no binary",
        },
        declared=["_openmp_mutex >=4.5", "libstdcxx >=13", "__glibc >=2.28", "python"],
    )
    assert report.findings == ()
    report.check()


def test_a_binary_for_another_machine_is_named() -> None:
    report = audit({"lib/libc10.so": elf(machine=X86_64)})
    assert ids(report) == [("L-001", "lib/libc10.so", "")]
    with pytest.raises(LinkageError, match=r"L-001 lib/libc10\.so: it is for x86_64, not aarch64"):
        report.check()
    assert ids(audit({"lib/a.dylib": macho_x86_64()}, subdir=MAC))[0][0] == "L-001"
    assert ids(audit({"lib/libc10.so": macho()}))[0][0] == "L-001"
    both = fat(macho_x86_64(), macho(minos=(11, 0)))
    assert ids(audit({"lib/a.dylib": both}, subdir=MAC, declared=["__osx >=11.0"])) == []
    # device code lies in packages as ELF and is nobody's machine
    assert ids(audit({"lib/kernel.cubin": elf(machine=190)})) == []


def test_a_corrupt_binary_is_a_finding_not_a_crash() -> None:
    report = audit({"lib/a.so": elf()[:80], "lib/b.so": elf(["libnope.so"])})
    assert ids(report) == [("L-002", "lib/a.so", ""), ("L-003", "lib/b.so", "libnope.so")]


def test_a_missing_library_is_named_with_what_needs_it() -> None:
    (found,) = audit({"lib/libtorch.so": elf(["libnope.so.1"])}).errors
    assert (found.rule.id, found.name) == ("L-003", "libnope.so.1")
    assert "sonames.yaml" in str(found)
    # torch's own library, but neither here nor in a sibling
    assert ids(audit({"lib/libtorch.so": elf(["libc10.so"])})) == [
        ("L-003", "lib/libtorch.so", "libc10.so")
    ]


def test_a_dependency_must_be_declared() -> None:
    files = {"lib/libtorch.so": elf(["libstdc++.so.6"])}
    assert ids(audit(files)) == [("L-004", "lib/libtorch.so", "libstdc++.so.6")]
    assert ids(audit(files, declared=["libstdcxx"])) == []
    # what a sibling depends on counts only where the sibling itself is declared
    for sibling in (
        Sibling.named("other", [], depends=["libstdcxx >=13"]),
        Sibling.named("libtorch", []),  # whose row under `needs` says so
    ):
        kept: dict[str, Any] = {"package": "pytorch", "siblings": [sibling]}
        assert ids(audit(files, **kept))[0][0] == "L-004"
        assert ids(audit(files, **kept, declared=[sibling.package])) == []


def test_a_sibling_provides_its_libraries_and_must_be_declared() -> None:
    files = {f"{TORCH_LIB}/libtorch_python.so": elf(["libc10.so"], runpath="$ORIGIN")}
    links = {f"{TORCH_LIB}/libc10.so": f"{UP}/libc10.so"}
    sibling = Sibling.named("libtorch", ["libc10.so"])
    kept: dict[str, Any] = {"package": "pytorch", "siblings": [sibling]}
    assert ids(audit(files, links, **kept, declared=["libtorch"])) == []
    assert ("L-004", f"{TORCH_LIB}/libtorch_python.so", "libc10.so") in ids(
        audit(files, links, **kept)
    )
    # RUNPATH $ORIGIN never sees $PREFIX/lib: without the link the sibling's file is out of reach
    assert ids(audit(files, **kept, declared=["libtorch"])) == [
        ("L-005", f"{TORCH_LIB}/libtorch_python.so", "libc10.so")
    ]


def test_glibc_takes_the_links_folder_as_origin() -> None:
    """T1: the real file has its neighbour, the link has not."""
    libtorch = audit(
        {"lib/libtorch.so": elf(["libc10.so"], runpath="$ORIGIN"), "lib/libc10.so": elf()}
    )
    assert ids(libtorch) == []
    sibling = Sibling.audited(libtorch)
    lone = {f"{TORCH_LIB}/libtorch.so": f"{UP}/libtorch.so"}
    kept: dict[str, Any] = {"package": "pytorch", "siblings": [sibling], "declared": ["libtorch"]}
    assert ids(audit({}, lone, **kept)) == [("L-005", f"{TORCH_LIB}/libtorch.so", "libc10.so")]
    assert ids(audit({}, {**lone, f"{TORCH_LIB}/libc10.so": f"{UP}/libc10.so"}, **kept)) == []


def test_dyld_takes_the_real_files_folder() -> None:
    """The same package as T1's failing one loads on macOS, and one that T1 passes does not."""
    libtorch = audit(
        {"lib/libtorch.dylib": macho(["@loader_path/libc10.dylib"]), "lib/libc10.dylib": macho()},
        declared=["__osx >=14.0"],
        subdir=MAC,
    )
    assert ids(libtorch) == []
    lone = {f"{TORCH_LIB}/libtorch.dylib": f"{UP}/libtorch.dylib"}
    kept: dict[str, Any] = {
        "package": "pytorch",
        "siblings": [Sibling.audited(libtorch)],
        "subdir": MAC,
        "declared": ["libtorch", "__osx >=14.0"],
    }
    assert ids(audit({}, lone, **kept)) == []
    beside_the_link = audit(
        {"lib/libtorch.dylib": macho(["@loader_path/libc10.dylib"])},
        {**lone, f"{TORCH_LIB}/libc10.dylib": f"{UP}/other/libc10.dylib"},
        siblings=[Sibling.named("other", ["libc10.dylib"], folder="lib/other")],
        declared=["other", "__osx >=14.0"],
        subdir=MAC,
    )
    assert ids(beside_the_link) == [("L-005", "lib/libtorch.dylib", "@loader_path/libc10.dylib")]


def test_rpath_is_inherited_and_runpath_is_not() -> None:
    """T3, by torch 2.8.0's layout of libarm_compute: only the loader knows the folder of both."""

    def package(**search: Any) -> AuditReport:
        return audit(
            {
                "lib/a/libtorch_cpu.so": elf(["libq.so"], **search),
                "lib/b/libq.so": elf(["libx.so"]),
                "lib/b/libx.so": elf(soname="libx.so"),
            }
        )

    assert ids(package(rpath="$ORIGIN/../b")) == []
    assert ids(package(runpath="$ORIGIN/../b")) == [("L-005", "lib/b/libq.so", "libx.so")]


def test_a_runpath_switches_pythons_search_path_off() -> None:
    declared = ["libgcc"]
    lone = elf(["libgcc_s.so.1"])
    assert ids(audit({f"{TORCH_LIB}/a.so": lone}, declared=declared)) == []
    for search in ("$ORIGIN", ""):
        content = elf(["libgcc_s.so.1"], runpath=search)
        assert ids(audit({f"{TORCH_LIB}/a.so": content}, declared=declared)) == [
            ("L-005", f"{TORCH_LIB}/a.so", "libgcc_s.so.1")
        ]
    with_link = audit(
        {f"{TORCH_LIB}/a.so": elf(["libgcc_s.so.1"], runpath="$ORIGIN")},
        {f"{TORCH_LIB}/libgcc_s.so.1": f"{UP}/libgcc_s.so.1"},
        declared=declared,
    )
    assert ids(with_link) == []


def test_a_program_starts_without_python_around_it() -> None:
    """torch_shm_manager of the CUDA wheels: its library has DT_RPATH, which python would mend."""
    files = {
        "site-packages/torch/bin/torch_shm_manager": elf(
            ["libshm.so"], runpath="$ORIGIN/../lib", program=True
        ),
        f"{TORCH_LIB}/libshm.so": elf(["libcudart.so.13"], rpath="$ORIGIN"),
    }
    report = audit(files, package="pytorch", declared=["cuda-cudart"])
    assert ids(report) == [
        ("L-005", "site-packages/torch/bin/torch_shm_manager", "libcudart.so.13")
    ]
    assert "when it starts" in report.errors[0].what
    mended = {f"{TORCH_LIB}/libcudart.so.13": f"{UP}/libcudart.so.13"}
    assert ids(audit(files, mended, package="pytorch", declared=["cuda-cudart"])) == []


@pytest.mark.parametrize(
    ("target", "finding"),
    [
        ("../../../../../../lib/libgomp.so.1", "L-010"),
        ("/usr/lib/libgomp.so.1", "L-010"),
        ("libgomp.so.1", "L-010"),  # itself
        (f"{UP}/libnope.so.1", "L-011"),
        ("../nope.txt", "L-011"),
        (f"{UP}/libz.so.1", "L-004"),
    ],
)
def test_links_must_lead_somewhere(target: str, finding: str) -> None:
    report = audit({"lib/a.txt": b""}, {f"{TORCH_LIB}/libgomp.so.1": target})
    assert [found[0] for found in ids(report)] == [finding]


def test_links_may_lead_to_files_folders_and_dependencies() -> None:
    report = audit(
        {"lib/libc10.so": elf(), "include/c10/core.h": b""},
        {
            f"{TORCH_LIB}/libc10.so": f"{UP}/libc10.so",
            "site-packages/torch/include": "../../../../include",
            "lib/libc10.so.1": "libc10.so",
            "lib/libgomp.so": "libgomp.so.1",
        },
        declared=["_openmp_mutex"],
    )
    assert report.findings == ()
    assert "lib/python3.11/site-packages/torch/lib/libc10.so" in report.paths


def test_links_through_linked_folders_are_followed() -> None:
    report = audit(
        {
            "lib/libc10.so": elf(soname="libc10.so"),
            "lib/x/libtorch.so": elf(["libc10.so"], runpath="$ORIGIN/alias"),
        },
        {"lib/x/alias": "..", "lib/y": "x/alias"},
    )
    assert report.findings == ()


@pytest.mark.parametrize(
    ("python", "folder"), [("3.11", "lib/python3.11"), ("3.14t", "lib/python3.14t")]
)
def test_site_packages_lie_where_the_client_puts_them(python: str, folder: str) -> None:
    report = audit({"site-packages/torch/a.so": elf()}, python=PythonBuild.parse(python))
    assert report.paths == {f"{folder}/site-packages/torch/a.so"}


def test_the_floor_is_what_the_binaries_need() -> None:
    needs_228 = {"lib/a.so": elf(versions={"libc.so.6": ["GLIBC_2.28"]}), "lib/b.so": elf()}
    assert ids(audit(needs_228, declared=["__glibc >=2.17"])) == [("L-006", "lib/a.so", "")]
    assert ids(audit(needs_228)) == [("L-006", "lib/a.so", "")]
    assert ids(audit(needs_228, declared=["__glibc >=2.28"])) == []
    assert ids(audit(needs_228, declared=["__glibc >=2.34"]), "note") == [("L-007", "", "")]
    assert ids(
        audit({"lib/a.dylib": macho(minos=(14, 0))}, subdir=MAC, declared=["__osx >=11.0"])
    ) == [("L-006", "lib/a.dylib", "")]


def test_an_unneeded_dependency_is_a_note() -> None:
    report = audit({"lib/a.so": elf()}, declared=["libzlib >=1.3.1,<2", "numpy"])
    assert ids(report) == []
    assert ids(report, "note") == [("L-008", "", "libzlib")]


def test_compatibility_versions_set_floors() -> None:
    path = "site-packages/torchvision/image.so"
    files = {path: macho([("@loader_path/.dylibs/libpng16.16.dylib", (73, 0, 0))])}
    links = {"site-packages/torchvision/.dylibs/libpng16.16.dylib": f"{UP}/libpng16.16.dylib"}

    def found(spec: str) -> list[str]:
        report = audit(files, links, subdir=MAC, declared=[spec, "__osx >=14.0"])
        return [one[0] for one in ids(report)]

    assert found("libpng >=1.6.56,<1.7") == []
    assert found("libpng >=1.6.50,<1.7") == ["L-009"]
    assert found("libpng") == ["L-009"]


def test_bundled_copies_are_noted() -> None:
    report = audit(
        {
            "site-packages/torchvision.libs/libjpeg.9664032d.so.8": elf(soname="libjpeg.so.8"),
            "lib/libgomp.so.1": elf(soname="libgomp.so.1"),
            "lib/libarm_compute.so": elf(),
        }
    )
    copies = [found[2] for found in ids(report, "note") if found[0] == "L-012"]
    assert copies == ["libgomp.so.1", "libjpeg.so.8"]
    mac = audit(
        {
            "site-packages/torchvision/.dylibs/libjpeg.8.3.2.dylib": macho(
                name="/DLC/torchvision/.dylibs/libjpeg.8.3.2.dylib"
            )
        },
        subdir=MAC,
        declared=["__osx >=14.0"],
    )
    assert ids(mac, "note")[0][::2] == ("L-012", "libjpeg.8.dylib")


def test_an_accepted_finding_is_shown_with_its_reason() -> None:
    files = {"site-packages/torchvision/_C.so": elf(["libc10.so"], runpath="/__w/env/lib")}
    kept: dict[str, Any] = {
        "siblings": [Sibling.named("libtorch", ["libc10.so"])],
        "declared": ["libtorch"],
    }
    report = audit(files, package="torchvision", **kept)
    assert report.errors == ()
    accepted = next(found for found in report.notes if found.rule.id == "L-005")
    assert "imports torch first" in accepted.accepted
    assert "2026-11-22" in str(accepted)
    assert accepted.as_json()["severity"] == "note"
    # the row is for that package and those libraries alone
    assert ids(audit(files, package="torchtext", **kept))[0][0] == "L-005"
    other = {"site-packages/torchvision/_C.so": elf(["libz.so.1"], runpath="/__w/env/lib")}
    assert ids(audit(other, package="torchvision", declared=["libzlib"]))[0][0] == "L-005"


def test_every_policy_row_has_a_rule_and_a_reason() -> None:
    policy = linkage_policy()
    assert policy.accepted
    assert len({rule.id for rule in Rule}) == len(Rule)
    assert [rule.id for rule in Rule] == sorted(rule.id for rule in Rule)
    assert all(rule.title and rule.fix for rule in Rule)


def test_check_names_the_first_findings_and_counts_the_rest() -> None:
    report = audit({f"lib/{n}.so": elf(["libnope.so"]) for n in range(8)})
    with pytest.raises(LinkageError, match="and 3 more") as caught:
        report.check()
    assert caught.value.where == "libtorch"
    assert caught.value.next_step.startswith("L-003: ")
