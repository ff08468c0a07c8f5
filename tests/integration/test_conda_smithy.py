"""Exported feedstocks under conda-smithy itself, with the pinning of conda-forge."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from generator.console import Silent
from generator.feedstock import Feedstock
from generator.model import Lock
from generator.project import Project
from generator.rendering import number_builds, recipe_tree
from generator.rendering.feedstock_tree import export_feedstock
from tests import clients
from tests.golden_trees import golden_lock
from tests.locks import feedstock

#: what conda-smithy writes otherwise: of its own, or of conda-forge's pinning; the sdk is macOS's
ADDED = {"pin_run_as_build", "MACOSX_DEPLOYMENT_TARGET", "MACOSX_SDK_VERSION"}
#: conda-smithy has none: what is not there the recipe skips
DROPPED = {"zip_keys"}
#: the one rule of recipe-lint that is not kept (R-035)
FLOOR = "You're setting a constraint on the `__osx` virtual package directly"
#: conda-forge-pinning's, recipe/conda_build_config.yaml (f87504532, 2026-08-20)
ZIPPED = (("python", "is_python_min"), ("libarrow", "libarrow_all"))


class Golden(Project):
    """The feedstock of the golden tree, which has every kind of recipe and is in no folder."""

    def declared(self) -> Feedstock:
        return feedstock()

    def known(self) -> Lock:
        return number_builds(feedstock(), golden_lock(), None)


@cache
def golden() -> Golden:
    return Golden(feedstock=Path("feedstock.yaml"), narrator=Silent())


def names() -> list[str]:
    found = recipe_tree(golden().declared(), golden().known()).variants
    return sorted({f"{variant.line}/{variant.package}" for variant in found})


def configs(tree: Path) -> dict[str, dict[str, object]]:
    """What stands in .ci_support, by name."""
    read = YAML(typ="safe", pure=True)
    return {path.name: read.load(path) for path in sorted((tree / ".ci_support").glob("*.yaml"))}


@pytest.mark.parametrize("name", names())
def test_an_exported_feedstock_names_whole_zips_of_conda_forge(name, tmp_path):
    """conda-build takes a list of a zip only with all the others, and as long as they are."""
    export_feedstock(golden(), name, tmp_path / "tree")
    variants = YAML(typ="safe", pure=True).load(tmp_path / "tree/recipe/variants.yaml")
    assert "zip_keys" not in variants
    for group in ZIPPED:
        named = [variants[key] for key in group if key in variants]
        assert len(named) in (0, len(group))
        for platform in ("linux", "osx"):
            assert len({_length(each, platform) for each in named}) <= 1


def _length(values: list[object], platform: str) -> int:
    """How many values a list has where a platform is built."""
    rows = [each for each in values if isinstance(each, dict)]
    chosen = [row["then"] for row in rows if row["if"] == platform]
    return len(values) - len(rows) + sum(len(found) for found in chosen)


@pytest.mark.parametrize("name", names())
def test_conda_smithy_rerenders_an_exported_feedstock_to_what_it_was(name, tmp_path):
    pinning = clients.folder() / clients.PINNING
    tree = tmp_path / "tree"
    export_feedstock(golden(), name, tree)
    for words in (("init", "-q"), ("add", "-A")):
        subprocess.run(["git", *words], cwd=tree, check=True)
    ours = configs(tree)
    done = clients.run(
        "conda-smithy",
        *("rerender", "--no-check-uptodate", "--exclusive-config-file"),
        os.path.relpath(pinning, tree),
        cwd=tree,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = configs(tree)
    assert sorted(theirs) == sorted(ours)
    for stem, config in theirs.items():
        assert set(config) - set(ours[stem]) <= ADDED, stem
        assert set(ours[stem]) - set(config) <= DROPPED, stem
        for key in set(config) & set(ours[stem]):
            assert config[key] == ours[stem][key], (stem, key)
    said = clients.run("conda-smithy", "recipe-lint", "recipe", cwd=tree).stdout
    findings = [line for line in said.splitlines()[1:] if line.strip() and FLOOR not in line]
    assert "fine form" in said or not findings, said
