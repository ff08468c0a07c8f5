"""`verify` is fooled by no package that the clients' own readers read otherwise."""

from __future__ import annotations

import pytest

from tests.counts import count, proving
from tests.differential import compare
from tests.packages import tiny_channel

pytestmark = pytest.mark.integration

#: of each kind one: libraries, an extension, pure files, links for any Python, nothing
NAMES = ("libtorch-9.1", "pytorch-9.1.0-cpu_generic_py311", "torchvision-0.92", "cpuonly-")


def test_what_verify_says_well_of_is_what_clients_install(tmp_path_factory: pytest.TempPathFactory):
    root, out, folder = (tmp_path_factory.mktemp(name) for name in ("repo", "out", "mutated"))
    tiny = tiny_channel(root, out)
    chosen = [path for path in tiny.packages if path.name.startswith(NAMES)]
    assert len(chosen) == len(NAMES)
    packages = [(path, tiny.everything(path.name)) for path in chosen]
    number, whole = count("differential"), proving()
    figures = compare(packages, number, folder, seed=20261129, all_readers=whole)
    print(figures.to_json())
    assert figures.fooled == []
    # the mutations are such that readers part ways, or this would prove nothing
    assert figures.refused["rattler"] > number / 20
    assert figures.differ["rattler"] > number / 10
    assert not whole or figures.disagree > number / 50
