"""From a local index through update, render, build, audit and solve, on each of the four subdirs."""

from __future__ import annotations

import pytest

from tests.integration.synthetic import Line, updated
from tests.synthetic_wheels import Release
from tests.synthetic_wheels.binaries import platforms

pytestmark = pytest.mark.integration

PYTHONS = ("cp312", "cp314", "cp314t")


@pytest.fixture(scope="module", params=platforms())
def line(request, tmp_path_factory) -> Line:
    release = Release(subdir=request.param, torch="2.10.0")
    return updated(tmp_path_factory.mktemp("line"), release.wheels(PYTHONS), request.param)


def test_every_variant_is_built(line):
    names = {v.package for v in line.variants}
    assert {"libtorch", "pytorch", "torchvision", "torchaudio", "pytorch-cpu"} <= names
    built = [path for path in line.channel.root.glob("*/*.conda")]
    assert len(built) == len(line.variants)
