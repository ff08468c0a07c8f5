"""Variants as jobs: everything once, in two rounds, below GitHub's limit; announcements."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.month import PAGE, REPLAYS, page
from generator.ci.cost import monthly_cost
from generator.ci.jobs import plan
from generator.commands import tables
from generator.errors import SelectionError, UnreachableError
from generator.lock import announce, diff_locks
from generator.matrix import find_job, jobs, variants
from generator.model import Lock
from generator.provider.github import write_outputs
from generator.rendering import workflow_settings
from generator.rendering.feedstock_tree import export_feedstock
from generator.testing import PackageReport
from tests.golden_trees import golden_lock
from tests.locks import Shelf, cpu_cell, feedstock
from tests.replayed_jobs import read_outputs


@pytest.fixture(scope="module")
def found():
    return variants(feedstock(), golden_lock())


def test_every_variant_is_in_one_job_after_what_it_needs(found):
    made = jobs(found, pythons_per_job=1, maximum=256)
    assert Counter(v.id for job in made.all for v in job.variants) == Counter(v.id for v in found)
    first = {v.id for job in made.shared for v in job.variants}
    for job in made.variants:
        own = {v.id for v in job.variants}
        for variant in job.variants:
            if variant.python is not None:
                assert set(variant.depends) <= first | own, variant.id
    names = [job.name for job in made.all]
    assert len(names) == len(set(names))
    assert "metapackages-noarch-shared" in names


def test_more_pythons_a_job_where_there_would_be_too_many(found):
    many = jobs(found, pythons_per_job=1, maximum=256)
    cells = {job.name.rpartition("-")[0] for job in many.variants}
    few = jobs(found, pythons_per_job=1, maximum=max(len(cells), len(many.shared)))
    assert len(few.variants) < len(many.variants)
    with pytest.raises(SelectionError, match="more than the 1 jobs"):
        jobs(found, pythons_per_job=1, maximum=1)


def test_a_sample_has_one_python_per_cell_and_the_highest(found):
    made = jobs(found, pythons_per_job=3, maximum=256, sample=True)
    for job in made.variants:
        assert len({v.python for v in job.variants if v.python is not None}) <= 1
    whole = jobs(found, pythons_per_job=3, maximum=256)
    assert len(made.variants) == len({j.name.rpartition("-")[0] for j in whole.variants})
    with pytest.raises(SelectionError, match="no such job"):
        find_job(made.all, "9.1-nowhere")


def test_a_job_key_changes_with_what_it_is_made_from(found):
    (job, *_) = jobs(found, pythons_per_job=1, maximum=256).variants
    other = replace(job, variants=tuple(replace(v, digest="x") for v in job.variants))
    assert job.digest != other.digest


def test_no_text_from_upstream_can_set_another_output(tmp_path):
    path = tmp_path / "output"
    write_outputs(path, {"title": "a\narmtorch\nchanged=true\nx<<E", "changed": "false"})
    assert read_outputs(path.read_text()) == {
        "title": "a\narmtorch\nchanged=true\nx<<E",
        "changed": "false",
    }


def test_an_announcement_asks_a_person_only_where_one_is_needed():
    shelf = Shelf()
    cell = cpu_cell(shelf)
    old = shelf.lock(cell)
    newer = replace(cell, line="9.9", trio={**cell.trio, "torch": "9.9.0"})
    said = announce(
        old, replace(old, cells=(newer,)), diff_locks(old, replace(old, cells=(newer,))), ()
    )
    assert said.attention == ()
    assert said.title == f"Release torch 9.9.0 for {cell.subdir}/cpu"
    assert "### Superseded by a newer torch" in said.markdown()
    gone = announce(old, replace(old, cells=()), diff_locks(old, replace(old, cells=())), ())
    assert "cell removed" in gone.attention[0]
    nothing = announce(old, old, diff_locks(old, old), (UnreachableError("503", where="pypi"),))
    assert not nothing.changed
    assert nothing.attention == ()


def test_what_upstream_writes_cannot_leave_its_table_cell():
    shelf = Shelf()
    cell = cpu_cell(shelf)
    evil = {
        key: replace(value, license="MIT` | @everyone\n# big |")
        for key, value in shelf.metadata.items()
    }
    old = shelf.lock(cell)
    new = replace(old, metadata=evil)
    text = announce(old, new, diff_locks(old, new), ()).markdown()
    assert "`MIT' \\| @everyone # big \\|`" in text
    assert "\n# big" not in text


def test_an_exported_feedstock_is_the_recipe_one_folder_up(project, tmp_path):
    files = export_feedstock(project, "2.10/pytorch", tmp_path / "out")
    assert {"conda-forge.yml", "README.md", "recipe/recipe.yaml"} <= set(files)
    recipe = (tmp_path / "out/recipe/recipe.yaml").read_text()
    assert "path: ../wheelhouse/" in recipe
    assert "../../../" not in recipe
    configs = [path for path in files if path.startswith(".ci_support/")]
    assert configs
    assert all(path.count("/") == 1 for path in configs)
    with pytest.raises(SelectionError, match="no such recipe") as error:
        export_feedstock(project, "2.10/nothing", tmp_path / "other")
    assert "2.10/pytorch" in error.value.next_step


def test_an_empty_lock_has_no_jobs_but_metapackages():
    made = jobs(variants(feedstock(), Lock()), pythons_per_job=1, maximum=256)
    assert made.variants == ()


def test_a_month_costs_what_its_jobs_do(project, monkeypatch):
    """More looks or releases cost more, and a cell for macOS ten times its minutes."""
    found = monthly_cost(project)
    jobs = len(plan(project).jobs.all)
    by_name = {use.name.partition(" ")[0]: use for use in found.uses[1:]}
    assert by_name["and"].jobs == jobs + 1
    assert by_name["and"].minutes >= 2 * jobs * workflow_settings().costs.job_minutes
    assert found.minutes == sum(use.minutes for use in found.uses)
    trains = {**project.declared().trains, "nightly": project.declared().trains["stable"]}
    nightly = replace(project.declared(), trains=trains)
    monkeypatch.setattr(type(project), "declared", lambda _: nightly)
    more = monthly_cost(project)
    assert more.minutes - found.minutes > workflow_settings().costs.nights * jobs
    macos = [job for job in plan(project).jobs.all if job.subdir == "osx-arm64"]
    assert found.billed - found.minutes >= 9 * 2 * len(macos)
    assert 0 < found.channel_bytes < found.cache_bytes < workflow_settings().costs.cache_bytes
    assert f"{found.minutes:,}" in found.markdown()


def test_a_job_says_in_its_summary_what_was_installed_and_not_run():
    how = "natively; as if __cuda=13.0 were there, so not run on a GPU"
    found = PackageReport(
        package="pytorch-2.15.0-0.conda", subdir="linux-aarch64", how=how, steps=()
    )
    assert f"| `pytorch-2.15.0-0.conda` | passed | {how} |" in tables.tests_as_markdown([found])


@pytest.mark.parametrize("asked", [{"train": "stabel"}, {"cells": ["2.10/linux-aarch64/cuda999"]}])
def test_a_train_or_cell_that_is_not_there_is_no_run_without_jobs(project, asked):
    with pytest.raises(SelectionError, match="there is no") as refused:
        plan(project, **asked)
    assert refused.value.where in {"--train", "--cells"}


def test_the_page_of_a_month_has_the_figures_that_replays_left():
    replays = json.loads(REPLAYS.read_text(encoding="utf-8"))
    written = PAGE.read_text(encoding="utf-8").partition("## By replay")[2]
    assert page("", replays).partition("## By replay")[2] == written
