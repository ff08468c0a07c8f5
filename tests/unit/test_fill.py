"""What fills a gap of the base channel: chosen by torch's METADATA, one package per wheel."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from graphlib import TopologicalSorter

import pytest
from packaging.requirements import Requirement

from generator.console import Silent
from generator.datafiles import subdirs
from generator.lock import diff_locks
from generator.matrix import Selection, select, variants
from generator.model import PythonBuild, Pythons, Wheel
from generator.project import Project
from generator.rendering import render, tree_records
from generator.updating.catalogue import Catalogue
from generator.updating.fill import choose_fill
from generator.upstream.offers import Offer, parse_offer
from tests.golden_trees import golden_tree
from tests.locks import Shelf, cuda_cell, feedstock
from tests.own_feedstock import DECLARED

ARM = subdirs()["linux-aarch64"]
PYTHONS = tuple(map(PythonBuild.parse, ("3.11", "3.12", "3.13", "3.14t")))
TAGS = ("cp311-cp311", "cp312-abi3", "cp314-cp314t")


def offer(filename: str) -> Offer:
    made = parse_offer(filename, index="pypi", url="https://x.invalid/f", sha256="0" * 64, size=1)
    assert made is not None
    return made


CATALOGUE = Catalogue(
    {
        "triton": tuple(
            offer(f"triton-{version}-{tag}-manylinux_2_28_{machine}.whl")
            for version, machine in (
                ("3.8.0", "aarch64"),
                ("3.9.0", "aarch64"),
                ("3.9.1", "x86_64"),
                ("3.10.0", "aarch64"),
            )
            for tag in TAGS
        )
    }
)


def chosen(*requires: str):
    found, absent = choose_fill(
        ("triton",), [Requirement(text) for text in requires], CATALOGUE, ARM, PYTHONS
    )
    return {name: str(release) for name, release in found.items()}, absent


def test_the_newest_that_torch_admits_on_the_target_is_taken() -> None:
    assert chosen("filelock", "triton~=3.9.0") == ({"triton": "3.9.0"}, ())
    assert chosen("triton==3.8.0")[0] == {"triton": "3.8.0"}
    assert chosen("triton>=3")[0] == {"triton": "3.10.0"}


def test_what_torch_does_not_ask_for_is_left_out_without_a_word() -> None:
    assert chosen("filelock") == ({}, ())


def test_what_it_asks_for_and_nobody_has_is_named() -> None:
    found, (absence,) = chosen("triton~=4.0")
    assert found == {}
    assert (absence.package, absence.reason) == ("triton", "absent")
    assert "triton~=4.0" in absence.detail


@pytest.fixture(scope="module")
def lock():
    shelf = Shelf()
    cell = cuda_cell(shelf)
    (vision,) = cell.wheels_of("torchvision")

    def wheel(python: str, *, abi3: bool = False) -> Wheel:
        name = f"triton-3.8.0-{python}.whl"
        build = PythonBuild.parse(python)
        return replace(
            vision,
            project="triton",
            version="3.8.0",
            filename=name,
            sha256=f"{hash(name) % 16**60:064x}",
            python=build,
            abi3=abi3,
        )

    wheels = (wheel("3.11"), wheel("3.12", abi3=True), wheel("3.14t"))
    other = replace(cell, line="9.2", fill={"triton": "3.8.0"}, wheels=(*cell.wheels, *wheels))
    return shelf.lock(
        replace(cell, fill={"triton": "3.8.0"}, wheels=(*cell.wheels, *wheels)), other
    )


def test_each_wheel_is_one_package_and_two_lines_share_it(lock) -> None:
    found = [v for v in variants(feedstock(), lock) if v.package == "triton"]
    # the cell's torch is for 3.11 and 3.12: nobody needs the free-threaded one
    assert [(v.line, str(v.python), v.abi3, v.build_number) for v in found] == [
        ("9.1", "3.11", False, 0),
        ("9.1", "3.12", True, 0),
    ]


def test_pytorch_is_tested_after_the_triton_of_its_python(lock) -> None:
    found = {v.id: v for v in variants(feedstock(), lock)}
    needs = {
        str(v.python): [d for d in v.depends if "/triton/" in d]
        for v in found.values()
        if v.package == "pytorch" and v.line == "9.1"
    }
    assert needs == {
        "3.11": ["9.1/triton/linux_aarch64_python3.11.____cpython"],
        "3.12": ["9.1/triton/linux_aarch64_python3.12.____cpython"],
    }


@pytest.mark.parametrize(
    ("python", "expected"), [("3.11", ["3.11"]), ("3.12", ["3.12"]), ("3.15", ["3.12"])]
)
def test_the_stable_abi_is_selected_by_every_later_python(python, expected) -> None:
    known = variants(feedstock(), _committed())
    wanted = Selection(
        packages=("triton", "pytorch"), pythons=Pythons.parse([python]), lines=("2.15",)
    )
    found = select(known, wanted)
    assert [str(v.python) for v in found if v.package == "triton"] == expected


def _committed():
    return Project(feedstock=DECLARED, narrator=Silent()).known()


def test_the_package_of_the_stable_abi_asks_for_a_gil() -> None:
    project = Project(feedstock=DECLARED, narrator=Silent())
    tree = render(project.declared(), project.known())
    records = tree_records(tree)
    (abi3,) = [v for v in tree.variants if v.package == "triton" and v.abi3 and v.line == "2.15"]
    depends = records[abi3.id][1]["depends"]
    assert "_python_abi3_support 1.*" in depends
    assert "cpython >=3.12,<3.16" in depends
    assert not [spec for spec in depends if spec.startswith(("python_abi", "pytorch", "__cuda"))]


def test_a_diff_names_what_was_filled(lock) -> None:
    bare = replace(lock, cells=tuple(replace(cell, fill={}) for cell in lock.cells))
    rows = [row for row in diff_locks(bare, lock).rows if row.subject == "triton"]
    assert {(row.kind, row.before, row.after) for row in rows} == {
        ("version changed", "none", "3.8.0")
    }


def test_every_libtorch_of_the_golden_tree_is_asked_for_by_its_hash() -> None:
    """Among them one for Jetson, whose board is in the hash."""
    records = [record for _, record in tree_records(golden_tree()).values()]
    made = [(r["version"], r["build"]) for r in records if r["name"] == "libtorch"]
    asked = [s.split() for r in records for s in r["depends"] if s.startswith("libtorch ")]
    assert asked
    for _, version, build in asked:
        assert [b for v, b in made if f"=={v}" == version and fnmatch.fnmatchcase(b, build)]


def test_what_fills_a_gap_needs_no_torch_and_nothing_needs_itself() -> None:
    project = Project(feedstock=DECLARED, narrator=Silent())
    found = {each.id: each for each in variants(project.declared(), project.known())}
    assert any(each.package == "triton" for each in found.values())
    order = list(TopologicalSorter({name: v.depends for name, v in found.items()}).static_order())
    assert {*order} == {*found}
    assert all(not each.depends for each in found.values() if each.package == "triton")
