"""Pythons that cannot share a libtorch get one of their own, by groups (decision D2)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from generator.channel.retention import retire
from generator.datafiles import subdirs
from generator.errors import LockError
from generator.inspecting import verify_package
from generator.lock import diff_locks, lock_text, parse_lock
from generator.matrix import Selection, select
from generator.model import Keep, Lock, Pythons, Retention
from generator.testing import Machine, solve
from tests.integration.small_base import write_base
from tests.locks import Shelf, apart_cell, cpu_cell
from tests.packages import TinyChannel, tiny_channel

pytestmark = pytest.mark.integration

#: Python -> how the build strings of its libtorch and pytorch-common begin
GROUPS = {
    "3.11": "cpu_generic_py311_h",
    "3.12": "cpu_generic_py311_h",
    "3.13": "cpu_generic_py313_h",
    "3.13t": "cpu_generic_py313t_h",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> TinyChannel:
    folder = tmp_path_factory.mktemp("apart")
    return tiny_channel(folder / "repo", folder / "channel", apart_cell)


def test_each_group_has_one_of_each_shared_package(tiny):
    names = [path.name for path in tiny.packages]
    for name in ("libtorch", "pytorch-common"):
        found = sorted(n.rsplit("-", 1)[1] for n in names if n.startswith(f"{name}-9"))
        assert [re.sub(r"[0-9a-f]{7}_0\.conda$", "", build) for build in found] == sorted(
            set(GROUPS.values())
        )


def test_each_package_is_proven(tiny):
    for path in tiny.packages:
        proof = verify_package(path, tiny.everything(path.name))
        assert (proof.verdict, proof.flaws) == ("proven", ())


@pytest.mark.parametrize("python", GROUPS)
def test_a_python_is_given_the_libtorch_of_its_group(python, tiny, tmp_path):
    tiny.channel.index()
    base = write_base(tmp_path, "linux-aarch64", GROUPS)
    machine = Machine.of(subdirs()["linux-aarch64"], native=False, added=["__glibc=2.39"])
    abi = f"python_abi * *_cp{python.replace('.', '')}"
    wanted = ["pytorch", "torchvision", "torchaudio", abi]
    records = solve(wanted, channels=[tiny.channel.url, base], machine=machine)
    found = {record.name.normalized: record for record in records}
    for name in ("libtorch", "pytorch-common"):
        assert str(found[name].build).startswith(GROUPS[python])
    assert str(found["pytorch"].build).startswith(
        f"cpu_generic_py{python.strip('t').replace('.', '')}_h"
    )


def test_no_group_is_retired_for_another(tiny):
    known = enumerate(tiny.channel.records("linux-aarch64"))
    records = [replace(record, timestamp=1000 * number) for number, record in known]
    keep = Keep(versions=1, builds=1)
    found = retire(records, Retention(keep={"stable": keep}), datetime(2030, 1, 1, tzinfo=UTC))
    assert found == ()


def test_the_lock_says_the_groups_and_stands_for_nothing_else(tiny):
    lock = tiny.lock
    assert parse_lock(lock_text(lock), where="lock") == lock
    (cell,) = lock.cells
    for spoilt in (
        replace(cell, apart=(*cell.apart, cell.apart[0])),
        replace(cell, apart=(replace(cell.apart[0], reference="3.12"),)),
        replace(cell, apart=(replace(cell.apart[0], pythons=("3.11", "3.13")),)),
        replace(cell, apart=(replace(cell.apart[0], reference="3.9", pythons=("3.9",)),)),
        replace(cell, sharing=None),
    ):
        with pytest.raises(LockError, match=r"libtorch|groups"):
            parse_lock(lock_text(replace(lock, cells=(spoilt,))), where="lock")


def test_who_asks_for_a_python_is_not_given_the_libtorch_of_others(tiny):
    for asked, groups in (("3.12", {"3.11"}), ("!3.13t", {"3.11", "3.13"})):
        found = select(tiny.tree.variants, Selection(pythons=Pythons.parse([asked])))
        assert {str(v.group) for v in found if v.package == "libtorch"} == groups


def test_an_update_says_how_many_will_be_built():
    several, one = (
        diff_locks(Lock(), Lock(cells=(cell,))).text()
        for cell in (apart_cell(Shelf()), cpu_cell(Shelf()))
    )
    assert "9 wheels, 3 builds of libtorch" in several
    assert "builds of libtorch" not in one
