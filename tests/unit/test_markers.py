"""Environment markers say the same to whoever reads them: update, render, explain."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from generator.datafiles import subdirs
from generator.explaining.requirements import markers_of
from generator.model import Accelerator, Metadata, PythonBuild
from generator.naming import conda_depends
from generator.updating.targets import active, environment
from tests.locks import Shelf, torch_wheel


def metadata_of(requirement: str) -> Metadata:
    shelf = Shelf()
    shelf.cell("9.1", "cpu", [torch_wheel("9.1.0", "cp312", requires=(requirement,))])
    return next(iter(shelf.metadata.values()))


@pytest.mark.parametrize(
    ("marker", "wanted"),
    [
        ("python_full_version >= '3.12.4'", True),
        ("python_full_version < '3.12.4'", False),
        ("python_version >= '3.12'", True),
        ("python_version > '3.12'", False),
        ("implementation_version == '3.12.0'", False),
        ("platform_machine == 'aarch64'", True),
        ("extra == 'more'", False),
    ],
)
def test_one_marker_has_one_answer(marker, wanted):
    subdir, python = subdirs()["linux-aarch64"], PythonBuild.parse("3.12")
    text = f"filelock; {marker}"
    found = metadata_of(text)
    depends = conda_depends(
        found, subdir=subdir, accelerator=Accelerator(), python=python, part="python"
    )
    marker_of = Requirement(text).marker
    assert marker_of is not None
    assert {
        "update": bool(active([text], environment(subdir, python))),
        "render": "filelock" in {each.name for each in depends},
        "explain": marker_of.evaluate(dict(markers_of("linux-aarch64", "3.12"))),
    } == dict.fromkeys(("update", "render", "explain"), wanted)
