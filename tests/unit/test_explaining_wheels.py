"""Requirements of pip, judged by the wheels of an index that answers."""

from __future__ import annotations

import pytest
from packaging.tags import parse_tag
from packaging.version import Version

from generator.explaining.reading_pip import PipRequest
from generator.explaining.requirements import Place
from generator.explaining.wheels import judge
from generator.upstream import Offer

HERE = Place("linux-aarch64", "3.12")


def offer(version: str, tags: str = "cp312-cp312-manylinux_2_28_aarch64") -> Offer:
    name = f"torch-{version}-{tags}.whl"
    return Offer(
        index="nightly",
        project="torch",
        version=Version(version),
        filename=name,
        url=f"https://example.org/{name}",
        sha256=version[:1] * 64,
        size=1,
        tags=parse_tag(tags),
    )


@pytest.mark.parametrize(
    ("request_of", "versions", "state", "says"),
    [
        # where nothing else is there, pip takes what is not released yet (PEP 440)
        ({"requirements": ("torch",)}, ["2.16.0.dev20261101+cpu"], "works", "2.16.0.dev20261101"),
        ({"requirements": ("torch>=2.9",)}, ["2.16.0rc1", "2.15.0"], "works", "torch 2.15.0 has"),
        ({"requirements": ("torch==2.9",)}, ["2.15.0"], "fails", "there is 2.15.0"),
        # of files with hashes, none but those
        ({"requirements": ("torch",), "hashes": ("2" * 64,)}, ["2.15.0"], "works", "2.15.0"),
        ({"requirements": ("torch",), "hashes": ("1" * 64,)}, ["2.15.0"], "fails", "hashes"),
        # what may not be built is not there
        ({"requirements": ("six",), "wheels_only": (":all:",)}, [], "fails", "--only-binary"),
        ({"requirements": ("six",)}, [], "unseen", "pip would build it"),
    ],
)
def test_what_an_index_has(request_of, versions, state, says):
    request = PipRequest(tool="pip install", index="https://example.org/simple", **request_of)
    (found,) = judge(request, HERE, lambda _index, _project: [offer(each) for each in versions])
    assert found.state == state, found.detail
    assert says in found.detail
