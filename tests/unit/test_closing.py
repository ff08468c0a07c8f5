"""What a channel would lack, however a package writes what it needs."""

from __future__ import annotations

import pytest

from generator.channel import Record
from generator.channel.publishable import lacking

LIBTORCH = Record(
    file_name="libtorch-2.15.0-cpu_0.conda",
    name="libtorch",
    version="2.15.0",
    build="cpu_0",
    build_number=0,
    subdir="linux-aarch64",
    size=1,
    sha256="0" * 64,
)


@pytest.mark.parametrize(
    "spec",
    [
        "libtorch 2.15.0 cpu_0",
        "libtorch==2.15.0",
        "libtorch>=2.15",
        "libtorch[version='2.15.*']",
        "conda-forge::libtorch 2.15.*",
        "libtorch=2.15",
        "LibTorch 2.15.*",
    ],
)
def test_every_way_to_name_a_package_is_understood(spec: str) -> None:
    pytorch = Record(**{**vars(LIBTORCH), "name": "pytorch", "depends": (spec, "numpy >=2")})
    assert len(lacking([pytorch], [], {"libtorch"})[pytorch.key]) == 1
    assert lacking([pytorch], [LIBTORCH], {"libtorch"}) == {}
