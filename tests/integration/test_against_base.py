"""`armtorch matrix --against-base` on recorded repodata: what blocks a package, by probing."""

from __future__ import annotations

import json

import jsonschema
import pytest

from generator.channel import LocalChannel
from generator.ci.against_base import against_base
from generator.ci.jobs import missing_cells, plan
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.matrix import matrix_view
from generator.project import Project
from generator.rendering import render, tree_records
from generator.stages.test import RunOptions, machine_of
from generator.testing import ChannelSolver, Machine, lacking, write_record_channel
from generator.transport.gateway import open_gateway
from tests.command_line import armtorch
from tests.conftest import ROOT
from tests.forge import standins

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """conda-forge with the versions it was seen with, and no others."""
    folder = tmp_path_factory.mktemp("seen")
    standins.write(folder, groups=())
    return folder


def shown(*arguments):
    done = armtorch("matrix", "--against-base", "--json", *arguments)
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((ROOT / "docs/matrix.schema.json").read_text()))
    return done.returncode, {cell["name"]: cell for cell in found["cells"]}


def test_what_the_base_lacks_is_named_and_what_it_has_is_not(seen):
    code, cells = shown("--base", str(seen))
    assert code == SolveError.exit_code
    blocked = {
        row["id"]: row["by"] for row in cells["2.15/linux-aarch64/cuda132"]["base"]["blocked"]
    }
    assert blocked["2.15/libtorch/linux_aarch64_"] == ["libcudnn >=9.26,<10"]
    # what needs a blocked package of ours is blocked by the same, not by that package
    assert blocked["2.15/torchvision/linux_aarch64_"] == ["libcudnn >=9.26,<10"]
    assert blocked["2.15/pytorch/linux_aarch64_python3.15.____cp315"] == [
        "python_abi 3.15.* *_cp315",
        "libcudnn >=9.26,<10",
    ]
    # triton is filled in, so the line before is whole
    assert cells["2.14/linux-aarch64/cuda130"]["base"]["blocked"] == []
    assert cells["legacy-2.8/linux-aarch64/cpu"]["base"]["blocked"] == []


@pytest.mark.parametrize("native", [True, False])
def test_what_is_planned_for_cuda_can_be_installed_where_there_is_no_gpu(project, tmp_path, native):
    """A runner of a CI is native and has no driver; nothing of a cell's plan is lost to that."""
    tree = render(project.declared(), project.locked())
    records = tree_records(tree)
    base = standins.write(tmp_path / "base")
    own = write_record_channel(records.values(), tmp_path / "own")
    planned = [
        variant
        for job in plan(project).jobs.all
        for variant in job.variants
        if variant.accelerator.cuda is not None and variant.subdir == "linux-aarch64"
    ]
    assert {variant.line for variant in planned} == {"2.14", "2.15"}
    assert len(planned) > 30
    options, gateway = RunOptions(channel=LocalChannel(tmp_path / "none")), open_gateway()
    unsolvable = set()
    for variant in planned:
        machine = machine_of(variant, subdirs()["linux-aarch64"], options, native=native)
        record = records[variant.id][1]
        solver = ChannelSolver(channels=(own, base), machine=machine, gateway=gateway)
        if not solver.solvable([f"{record['name']} =={record['version']} {record['build']}"]):
            unsolvable.add(variant.id)
    view = matrix_view(project.declared(), project.locked())
    judged = against_base(project, view, base=(str(tmp_path / "base"),))
    blocked = {row.id for cell in judged.cells if cell.base for row in cell.base.blocked}
    assert unsolvable == {variant.id for variant in planned} & blocked
    # a base channel without that Python
    assert all("python3.15" in each for each in unsolvable)


def test_a_machine_that_lacks_something_is_told_that_and_nothing_else(seen):
    _, cells = shown("--base", str(seen), "--virtual", "__glibc=2.17")
    for row in cells["2.14/linux-aarch64/cuda130"]["base"]["blocked"]:
        if "/triton/" not in row["id"]:
            assert row["by"] == ["__glibc >=2.28"], row["id"]
    assert {tuple(r["by"]) for r in cells["legacy-2.8/linux-aarch64/cpu"]["base"]["blocked"]} == {
        ("__glibc >=2.28",)
    }


def test_a_base_that_does_not_answer_is_not_a_base_that_lacks_something():
    done = armtorch("matrix", "--against-base", "--base", "http://127.0.0.1:9/nothing")
    assert done.returncode == 11
    assert "127.0.0.1:9" in done.stderr


def test_a_base_alone_is_refused():
    done = armtorch("matrix", "--base", "x")
    assert done.returncode == 31
    assert "--against-base" in done.stderr


def channel(folder, *records):
    rows = {
        f"{name}-{version}-0.conda": {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "subdir": "noarch",
            "depends": list(depends),
            "constrains": [],
            "sha256": f"{number:064x}",
            "size": 1,
        }
        for number, (name, version, *depends) in enumerate(records)
    }
    (folder / "noarch").mkdir(parents=True)
    document = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": rows}
    (folder / "noarch/repodata.json").write_text(json.dumps(document))
    return folder.as_uri()


def test_a_contradiction_is_cut_down_to_what_makes_it(tmp_path):
    url = channel(
        tmp_path / "c",
        ("a", "1", "shared =1"),
        ("b", "1", "shared =2"),
        ("c", "1"),
        ("shared", "1"),
        ("shared", "2"),
    )
    machine = Machine(subdir="linux-aarch64", virtual_packages=("__unix=0",))
    solver = ChannelSolver(channels=(url,), machine=machine)
    assert solver.blocking(["a", "b", "c"]) == ("a", "b")
    assert solver.blocking(["a", "c"]) == ()
    assert solver.blocking(["a", "missing >=2", "c"]) == ("missing >=2",)
    assert solver.blocking(["a", "missing", "__cuda >=13"]) == ("__cuda >=13",)
    assert lacking(("x", "__osx >=14")) == ("__osx >=14",)


def test_a_night_builds_nothing_that_the_base_blocks(seen, feedstock_copy):
    """What no build can mend would be built again every night."""
    path = feedstock_copy / "feedstock.yaml"
    path.write_text(path.read_text().replace("[conda-forge]", f"[{seen.as_uri()}]"))
    there = LocalChannel(feedstock_copy / "there")
    there.prepare()
    project = Project(feedstock=path, narrator=Silent())
    every = missing_cells(project, str(there.root))
    found = missing_cells(project, str(there.root), machine=())
    blocked = [each for each in found.blocked if each.startswith("2.15/")]
    assert found.blocked["2.15/libtorch/linux_aarch64_"].endswith("libcudnn >=9.26,<10")
    assert "2.15/libtorch/linux_aarch64_" in found.markdown()
    assert every.blocked == {}
    counts = [{k: n for k, n in each.cells.items() if k[:4] == "2.15"} for each in (every, found)]
    assert sum(counts[1].values()) == sum(counts[0].values()) - len(blocked)
    whole = "legacy-2.8/linux-aarch64/cpu"
    assert found.cells[whole] == every.cells[whole]
