"""Pairings by the symbols of upstream's own wheels, read by range: 30 MB of them, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from generator.console import Silent
from generator.datafiles import subdirs
from generator.model import Accelerator, Finding, PythonBuild
from generator.project import Project
from generator.updating import Prospect
from generator.updating.catalogue import Catalogue, read_catalogue
from generator.updating.pairing_judge import PairingJudge
from generator.upstream import FactsCache, WheelReader, open_index, open_web
from generator.upstream.pip_configuration import read_pip_configuration
from generator.upstream.policy import CompanionRow, trio_policy
from tests.integration.updating import feedstock

pytestmark = pytest.mark.e2e
PYTHON = PythonBuild.parse("3.11")
ROWS = trio_policy().companions
#: torches without CUDA and with it
CPU, CUDA = "2.10.0", "2.15.0"
Found = Callable[[str, str, str, str], tuple[Finding, ...]]


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[Catalogue, Found]]:
    project, asked = Project(feedstock=Path("feedstock.yaml"), narrator=Silent()), feedstock()
    pip = read_pip_configuration(project.environment)
    with open_web(project.cache / "http") as web:
        index = open_index("pypi", asked.indexes["pypi"], web=web, pip=pip, base=project.root)
        catalogue = read_catalogue(("torch", "torchvision", "torchaudio"), (index,))
        facts = FactsCache(project.cache / "facts")
        judge = PairingJudge(
            WheelReader(web=web, cache=facts, policies=asked.policies, narrator=Silent())
        )

        def found(subdir: str, torch: str, project: str, version: str) -> tuple[Finding, ...]:
            chosen = {}
            for name, wanted in (("torch", torch), (project, version)):
                releases = catalogue.releases(name, subdirs()[subdir])
                release = next(r for r in releases if r.version.public == wanted)
                offer = catalogue.best(name, release, subdirs()[subdir], PYTHON)
                assert offer is not None
                chosen[name] = release, {PYTHON: offer}
            return judge(
                Prospect(
                    train="stable",
                    subdir=subdirs()[subdir],
                    accelerator=Accelerator(),
                    project=project,
                    release=chosen[project][0],
                    wheels=chosen[project][1],
                    torch=chosen["torch"][1],
                )
            )

        yield catalogue, found


@pytest.mark.parametrize(
    ("subdir", "torch", "project", "version"),
    [
        ("linux-aarch64", "2.0.1", "torchvision", "0.15.2"),
        ("linux-aarch64", "2.0.1", "torchaudio", "2.0.2"),
        ("linux-aarch64", "2.5.1", "torchaudio", "2.5.1"),
        ("linux-aarch64", "2.10.0", "torchvision", "0.25.0"),
        ("linux-aarch64", "2.12.1", "torchaudio", "2.11.0"),
        ("linux-aarch64", "2.13.0", "torchaudio", "2.11.1"),
        ("osx-arm64", "2.12.1", "torchaudio", "2.11.1"),
    ],
)
def test_what_upstream_published_together_goes_together(
    upstream, subdir: str, torch: str, project: str, version: str
) -> None:
    assert upstream[1](subdir, torch, project, version) == ()


@pytest.mark.parametrize("torch", ["2.11.0", "2.12.1"])
def test_torchaudio_2_11_1_for_linux_needs_what_came_with_torch_2_13(upstream, torch: str) -> None:
    (found,) = upstream[1]("linux-aarch64", torch, "torchaudio", "2.11.1")
    assert found.kind == "symbols"
    assert found.detail == (
        "libtorchaudio.so needs torch_exception_get_what, torch_exception_get_what_without_"
        f"backtrace, torch_new_stable_ivalue, which torch {torch} does not have"
    )


@pytest.mark.parametrize(
    "version", [("torchvision", "0.24.0", "2.15.0"), ("torchaudio", "2.9.0", "2.15.0")]
)
def test_what_was_made_for_an_older_torch_is_unmet(upstream, version) -> None:
    project, companion, torch = version
    (found,) = upstream[1]("linux-aarch64", torch, project, companion)
    assert found.kind == "symbols"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.project}{row.versions}")
def test_what_a_row_says_of_cuda_the_symbols_bear_out(upstream, row: CompanionRow) -> None:
    catalogue, found = upstream
    for subdir in row.subdirs:
        versions = sorted(
            {
                release.version.public
                for release in catalogue.releases(row.project, subdirs()[subdir])
                if SpecifierSet(row.versions).contains(release.version)
            },
            key=Version,
        )
        assert versions
        for version in versions:
            assert found(subdir, CUDA, row.project, version) == ()
            lacking = found(subdir, CPU, row.project, version)
            assert row.cpu or any("cuda" in each.detail for each in lacking)
