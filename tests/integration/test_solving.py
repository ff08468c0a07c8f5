"""Which packages a person gets for a command: all rendered variants, solved by rattler."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from pathlib import Path

import pytest
from rattler import Gateway

from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.rendering import render, tree_records
from generator.testing import Machine, solve, write_record_channel
from tests import solver_clients, solver_truth
from tests.conda_solvers import SOLVERS, installed
from tests.forge import standins

pytestmark = pytest.mark.integration

TABLE = solver_truth.load()
CLIENTS = json.loads(solver_clients.TABLE.read_text())
TRIO = ["pytorch", "torchvision", "torchaudio"]
GPU = "__cuda=13.2"


@pytest.fixture(scope="module")
def records(project):
    return tree_records(render(project.declared(), project.locked()))


@pytest.fixture(scope="module")
def ours(records, tmp_path_factory):
    return write_record_channel(records.values(), tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    wanted = {row.base for row in TABLE.rows}
    return {
        groups: standins.write(folder / ("-".join(groups) or "plain"), groups=groups)
        for groups in wanted
    }


@pytest.fixture(scope="module")
def gateway():
    return Gateway()


def candidates(channels, subdir):
    """Every record that there was to choose from."""
    for channel in channels:
        for part in (subdir, "noarch"):
            path = Path(channel.removeprefix("file://")) / part / "repodata.json"
            if path.is_file():
                for row in json.loads(path.read_text())["packages.conda"].values():
                    yield channel, row


def test_the_table_is_long_enough_and_every_row_says_one_thing():
    assert len(TABLE.rows) >= 60
    for row in TABLE.rows:
        assert bool(row.gives) != bool(row.refused), row
    assert len({row.name for row in TABLE.rows}) == len(TABLE.rows)


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.name)
def test_solver_truth(row, ours, bases, gateway):
    base = bases[row.base]
    if row.refused:
        with pytest.raises(SolveError, match=re.escape(row.refused)):
            solver_truth.run(row, TABLE, ours=ours, base=base, gateway=gateway)
        return
    solved = solver_truth.run(row, TABLE, ours=ours, base=base, gateway=gateway)
    abi = solved.found("python_abi").rpartition("_")[2]
    for name, build in row.gives.items():
        assert fnmatch.fnmatchcase(solved.found(name), build), (name, solved.found(name))
        # the pattern stands for one build, not for several that happen to look alike
        subdir = TABLE.machines[row.on].split()[0]
        alike = [
            record
            for channel, record in candidates([ours, base], subdir)
            if record["name"] == name
            and fnmatch.fnmatchcase(
                f"{'ours' if channel == ours else 'base'} {record['version']} {record['build']}",
                build,
            )
            and all(
                spec.endswith(f"_{abi}")
                for spec in record["depends"]
                if spec.startswith("python_abi ")
            )
        ]
        assert len(alike) == 1, (name, build, [record["build"] for record in alike])
    for name in {"pytorch", "torchvision", "torchaudio"} - row.gives.keys():
        assert not solved.found(name), f"the row does not say {name}: {solved.found(name)}"


def test_every_libtorch_that_is_asked_for_is_one_of_ours(records):
    # the hash in the requirement is computed, the one in the package's name is rattler-build's
    made = {(r["version"], r["build"]) for _, r in records.values() if r["name"] == "libtorch"}
    asked = 0
    for name, record in records.values():
        for spec in record["depends"]:
            if not spec.startswith("libtorch "):
                continue
            _, version, build = spec.split()
            fitting = [b for v, b in made if f"=={v}" == version and fnmatch.fnmatchcase(b, build)]
            assert len(fitting) == 1, (name, spec)
            asked += 1
    assert asked > 50


@pytest.mark.parametrize("priority", ["strict", "flexible", "disabled"])
@pytest.mark.parametrize("virtual", [[], [GPU]])
def test_packages_of_different_builds_never_mix(priority, virtual, ours, bases, gateway):
    machine = Machine.of(subdirs()["linux-aarch64"], native=False, added=["__glibc=2.39", *virtual])
    for specs in (["pytorch", "torchvision"], ["torchvision=0.25"], TRIO, ["libtorch", "pytorch"]):
        found = {
            record.name.normalized: record
            for record in solve(
                specs,
                channels=[ours, bases[("ahead", "pytorch")]],
                machine=machine,
                priority=priority,
                gateway=gateway,
            )
        }
        libtorch, pytorch = found["libtorch"], found["pytorch"]
        assert (libtorch.channel, libtorch.version) == (pytorch.channel, pytorch.version)
        assert str(libtorch.build).split("_")[0] == str(pytorch.build).split("_")[0]
        if "torchvision" in found:
            assert found["torchvision"].channel == pytorch.channel


@pytest.mark.parametrize("later", solver_clients.LATER)
def test_a_free_threaded_python_comes_only_to_who_asks_for_it(
    later, records, bases, gateway, tmp_path
):
    # all else equal, a solver takes the build that was uploaded later: for any one Python in turn
    dated = solver_clients.uploaded_last(later, records.values())
    channels = [write_record_channel(dated, tmp_path), bases["ahead", "pytorch"]]
    for specs, machines in solver_clients.REQUESTS.items():
        for on in machines:
            subdir, *virtual = TABLE.machines[on].split()
            machine = Machine.of(subdirs()[subdir], native=False, added=virtual)
            found = solve(specs, channels=channels, machine=machine, gateway=gateway)
            python = next(str(r.build) for r in found if r.name.normalized == "python_abi")
            assert python.endswith("t") == ("python-freethreading" in specs), (specs, on)


def test_other_clients_do_what_the_rows_say_or_a_row_says_why_not():
    assert list(CLIENTS["rows"]) == [row.name for row in TABLE.rows]
    for row in TABLE.rows:
        did = CLIENTS["rows"][row.name]
        assert tuple(did) == SOLVERS
        assert bool(row.others) == any(what != solver_clients.AS_SAID for what in did.values()), (
            row.name
        )


def test_no_other_client_takes_a_free_threaded_python_unasked_whatever_came_last():
    assert tuple(CLIENTS["later"]) == solver_clients.LATER
    for rows in CLIENTS["later"].values():
        assert len(rows) == sum(map(len, solver_clients.REQUESTS.values()))
        for request, did in rows.items():
            assert tuple(did) == SOLVERS
            for python in did.values():
                assert python.endswith("t") == ("freethreading" in request), (request, did)


@pytest.mark.prove
@pytest.mark.skipif("ARMTORCH_CLIENTS" not in os.environ, reason="no clients: make clients")
def test_other_clients_do_what_the_table_says(project, tmp_path):
    world, solvers = solver_clients.make(tmp_path, project), installed()
    for name, did in solver_clients.run_rows(world, TABLE.rows, solvers).items():
        assert did.items() <= CLIENTS["rows"][name].items(), name
    for last, rows in solver_clients.run_later(world, solver_clients.LATER, solvers).items():
        for request, took in rows.items():
            assert took.items() <= CLIENTS["later"][last][request].items(), (last, request)


def test_every_python_build_gets_its_own_package(ours, bases, gateway):
    machine = Machine.of(subdirs()["linux-aarch64"], native=False, added=["__glibc=2.39"])
    for text, label in (("3.10", "py310"), ("3.12", "py312"), ("3.14", "py314")):
        records = solve(
            [f"python={text}", *TRIO],
            channels=[ours, bases[("ahead", "pytorch")]],
            machine=machine,
            gateway=gateway,
        )
        found = {record.name.normalized: str(record.build) for record in records}
        assert label in found["pytorch"]
