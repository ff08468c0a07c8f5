"""`armtorch matrix --against-base` on recorded repodata: what blocks a package, by probing."""

from __future__ import annotations

import json

import jsonschema
import pytest

from generator.errors import SolveError
from generator.testing import Machine, Prober, lacking
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
        "libcudnn >=9.26,<10",
        "python_abi 3.15.* *_cp315",
    ]
    # triton is filled in, so the line before is whole
    assert cells["2.14/linux-aarch64/cuda130"]["base"]["blocked"] == []
    assert cells["legacy-2.8/linux-aarch64/cpu"]["base"]["blocked"] == []


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
    prober = Prober(channels=(url,), machine=machine)
    assert prober.blocking(["a", "b", "c"]) == ("a", "b")
    assert prober.blocking(["a", "c"]) == ()
    assert prober.blocking(["a", "missing >=2", "c"]) == ("missing >=2",)
    assert prober.blocking(["a", "missing", "__cuda >=13"]) == ("__cuda >=13",)
    assert lacking(("x", "__osx >=14")) == ("__osx >=14",)
