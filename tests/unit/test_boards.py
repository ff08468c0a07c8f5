"""Which cell serves which machine: doctor, the page and the packages' own requirements agree."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from generator.channel.repodata import Record
from generator.channel.retention import retire, series_of
from generator.explaining import boards, look, serves
from generator.explaining.boards import asks, fitting_cell
from generator.explaining.computer import jetpack_of
from generator.lock import read_lock
from generator.model import Accelerator, Cell, Keep, Lock, Retention
from generator.model.accelerator import accelerator_of
from generator.naming.projects import name_map
from generator.page.coverage import accelerator_name, board_rows
from tests import computers
from tests.own_feedstock import LOCK

TEGRA, SERVER = "2.8/linux-aarch64/cuda126-tegra", "2.13/linux-aarch64/cuda126"
SBSA = "2.15/linux-aarch64/cuda132"
NEWER = "2.16/linux-aarch64/cuda130"
#: computer -> the cell that doctor names for it
BOARDS = {
    "jetson-orin-jetpack-6": TEGRA,
    "jetson-orin-jetpack-6.2.1": TEGRA,
    "jetson-orin-jetpack-7": SBSA,
    "jetson-thor-jetpack-7": SBSA,
    "jetson-xavier-jetpack-5": "2.10/linux-aarch64/cpu",
    "jetson-nano-jetpack-4": "",
}


def cell_like(cell: Cell, name: str, *, glibc: str = "", tag: str = "") -> Cell:
    line, _, accelerator = name.split("/")
    wheels = tuple(
        dataclasses.replace(w, glibc=glibc, platforms=(tag,) if tag else w.platforms)
        for w in cell.wheels
    )
    return dataclasses.replace(
        cell,
        line=line,
        accelerator=Accelerator.parse(accelerator),
        trio={**cell.trio, "torch": f"{line}.0"},
        wheels=wheels,
    )


@pytest.fixture(scope="module")
def lock() -> Lock:
    """The tests' own cells, with Jetson's and an older CUDA for servers beside them."""
    own = read_lock(LOCK)
    cuda = next(c for c in own.cells if c.name == SBSA)
    more = (
        cell_like(cuda, TEGRA, glibc="2.35", tag="linux_aarch64"),
        cell_like(cuda, SERVER),
        # a Jetson index's own: for servers, newer than any Orin's JetPack 6 system
        cell_like(cuda, NEWER, glibc="2.41", tag="linux_aarch64"),
    )
    return dataclasses.replace(own, cells=(*own.cells, *more))


def test_every_jetson_of_the_computers_is_looked_at():
    assert set(BOARDS) == {name for name in computers.ROWS if name.startswith("jetson-")}


@pytest.mark.parametrize(("name", "cell"), BOARDS.items(), ids=list(BOARDS))
def test_doctor_and_the_table_name_the_same_cell(name, cell, lock, tmp_path):
    tree = computers.write(name, tmp_path)
    computer = look(tree.root, tree.environment, tree.system)
    found = fitting_cell(lock, computer)
    assert (found.name if found else "") == cell
    pack = jetpack_of(computer)
    assert pack is not None
    row = next(row for row in boards(lock.cells) if row.l4t == pack.l4t)
    assert next(iter(row.cells), "") == cell
    # a whole computer and the bare row of the table are served by the same cells
    fitting = {c.name for c in lock.cells if c.train == "stable" and serves(c, computer)}
    assert set(row.cells) == fitting


def test_what_serves_a_machine_is_what_its_packages_ask_for(lock):
    by_name = {cell.name: cell for cell in lock.cells}
    assert asks(by_name[TEGRA]) == ("__glibc >=2.35", "__cuda >=12")
    assert set(asks(by_name[SBSA])) == {"__glibc >=2.28", "__cuda >=13"}
    assert name_map().accelerators["tegra"] == ("arm-variant * tegra",)
    assert by_name[TEGRA].accelerator.board_spec == "arm-variant=*=tegra"
    assert by_name[SERVER].accelerator.board_spec == "arm-variant=*=sbsa"
    assert by_name[SBSA].accelerator.board_spec == ""


@pytest.mark.parametrize("name", ["graviton", "raspberry-pi-5"])
def test_no_other_machine_is_given_what_is_for_jetson(name, lock, tmp_path):
    tree = computers.write(name, tmp_path)
    computer = look(tree.root, tree.environment, tree.system)
    virtual = (*computer.virtual_packages, "__cuda=13.2")
    driven = dataclasses.replace(computer, virtual_packages=virtual)
    found = {c.name for c in lock.cells if serves(c, driven)}
    assert TEGRA not in found
    assert {SERVER, SBSA} <= found
    assert NEWER not in found, "its index says that it needs a newer glibc"


def test_the_page_calls_them_by_their_names_and_has_the_table(lock):
    assert accelerator_name("cuda126-tegra") == "CUDA 12.6 for Jetson"
    assert accelerator_name("cuda") == "CUDA"
    rows = dict(board_rows(lock.cells))
    assert {words: packs for packs, words in rows.items()} == {
        f"torch 2.15.0, CUDA 13.2 ({SBSA})": "JetPack 7.2, 7.0",
        f"torch 2.8.0, CUDA 12.6 for Jetson ({TEGRA})": "JetPack 6.2.2, 6.2.1, 6.2, 6.1, 6.0",
        "torch 2.10.0, CPU (2.10/linux-aarch64/cpu)": (
            "JetPack 5.1.4, 5.1.3, 5.1.2, 5.1.1, 5.0.2, 5.1"
        ),
        "nothing: its system is too old": "JetPack 4.6.4, 4.6.3, 4.6.2, 4.6.1, 4.6",
    }
    assert board_rows([cell for cell in lock.cells if cell.accelerator.cuda is None]) == ()


def record(version: str, board: str, number: int) -> Record:
    depends = (f"arm-variant * {board}",) if board else ()
    build = f"cuda126_generic_py312_h{number:07}_{number}"
    return Record(
        file_name=f"pytorch-{version}-{build}.conda", name="pytorch", version=version, build=build,
        build_number=number, subdir="linux-aarch64", depends=depends, size=1, sha256="0" * 64,
    )  # fmt: skip


def test_retention_keeps_the_newest_of_each_kind_of_board():
    tegra, old, server = record("2.8.0", "tegra", 1), record("2.7.0", "tegra", 2), record(
        "2.13.0", "sbsa", 3
    )  # fmt: skip
    assert series_of(tegra)[2] == "cuda126-tegra"
    assert series_of(server)[2] == "cuda126"
    retention = Retention(keep={"stable": Keep(versions=1)})
    gone = retire([tegra, old, server], retention, dt.datetime.now(dt.UTC))
    assert [each.record for each in gone] == [old]


def test_others_build_strings_are_read_too():
    assert accelerator_of("py3.11_cuda12.1_cudnn8.9.2_0", ()) == "cuda121"
    assert accelerator_of("cpu_generic_py312_h1_0", ()) == "cpu"
