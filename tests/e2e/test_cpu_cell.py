"""The main job on real wheels: built, installed from the forge, and run as ARM programs."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rattler import PrefixRecord

from generator.channel import LocalChannel
from generator.console import Silent
from generator.matrix import Selection, select
from generator.model import PythonBuild
from generator.rendering import render, tree_records
from generator.stages.build import BuildOptions, build_variants
from generator.stages.test import RunOptions, run_tests
from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests import forge
from tests.counts import proving
from tests.e2e.conftest import lend_bytecode

pytestmark = [pytest.mark.e2e]

TRIO = ["pytorch", "torchvision", "torchaudio"]
#: path heads that conda-forge packages own: headers and tools that torch's wheel carries copies of
OTHERS = (
    "include/pybind11/",
    "include/fmt/",
    "include/google/",
    "include/fbgemm/",
    "include/dnnl",
    "include/oneapi/",
    "include/sleef.h",
    "include/cpuinfo.h",
    "include/xnnpack.h",
    "include/pthreadpool.h",
    "include/omp.h",
    "bin/protoc",
    "lib/libgomp",
    "lib/libgfortran",
    "lib/libopenblas.so",
    "lib/libstdc++",
    "lib/libgcc_s",
    "lib/libjpeg",
    "lib/libpng",
    "lib/libz.",
    "lib/libwebp",
    "lib/libsharpyuv",
    "lib/libomp",
)


@pytest.mark.parametrize(
    "specs",
    [
        [*TRIO],
        [*TRIO, "cpuonly"],
        ["python=3.11", *TRIO, "cpuonly", "pip"],
        ["pytorch"],
        ["python=3.9", *TRIO],
        ["python=3.9", *TRIO, "cpuonly"],
    ],
)
def test_the_seeds_commands_solve_on_the_real_channel(cpu_channel, base, machine, specs):
    records = solve(specs, channels=[cpu_channel.url, base.url], machine=machine)
    found = {record.name.normalized: record for record in records}
    legacy = "python=3.9" in specs
    assert str(found["pytorch"].version) == ("2.8.0" if legacy else "2.10.0")
    assert str(found["pytorch"].build).startswith("cpu_generic_py")
    if "torchaudio" in specs:
        assert set(TRIO) <= found.keys()


@pytest.mark.emulated
@pytest.mark.parametrize("package", TRIO)
def test_every_smoke_program_runs_in_one_environment(developer, runner, package):
    prefix = developer.prefix
    programs = sorted((prefix / "etc/conda/test-files" / package).glob("*/smoke.py"))
    assert programs
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), str(programs[0])]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
        cwd=programs[0].parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.emulated
def test_pip_check_is_true_and_entry_points_start(developer, runner):
    prefix = developer.prefix
    variables = clean_environment(prefix, runner, os.environ)
    for arguments in (["-m", "pip", "check"], [str(prefix / "bin/torchrun"), "--help"]):
        done = subprocess.run(
            runner.command([str(prefix / "bin/python"), *arguments]),
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_path_is_owned_twice_or_belongs_to_a_package_of_conda_forge(developer):
    owners: Counter[str] = Counter()
    for meta in sorted((developer.prefix / "conda-meta").glob("*.json")):
        files = files_of(meta)
        owners.update(set(files))
        if meta.name.startswith(("libtorch-", *(f"{name}-" for name in TRIO))):
            ours = [path for path in files if path.startswith(OTHERS)]
            assert not ours, f"{meta.name} has {ours[:3]}"
    assert [path for path, count in owners.items() if count > 1] == []


def files_of(meta: Path) -> list[str]:
    return [str(path) for path in PrefixRecord.from_path(meta).files]


def test_links_lead_to_files_and_one_file_of_each_library(developer):
    prefix = developer.prefix
    lib = next(prefix.glob("lib/python3.11/site-packages/torch/lib"))
    for path in lib.iterdir():
        assert path.exists(), f"{path.name} is a dangling link"
    assert (lib / "libgomp.so.1").samefile(prefix / "lib/libgomp.so.1")
    vision = next(prefix.glob("lib/python3.11/site-packages/torchvision.libs"))
    assert [p.name for p in vision.iterdir() if p.name.startswith("ld-linux")] == []
    for path in vision.iterdir():
        assert path.resolve().parent == (prefix / "lib").resolve()


@pytest.mark.emulated
def test_the_packages_pass_the_tests_they_carry(
    project, cpu_variants, cpu_channel, base, machine, runner, developer, monkeypatch
):
    """torchaudio stands for the trio here: the others' programs ran above, in one prefix."""

    def created(records, **places):
        made = create(records, **places)
        lend_bytecode(developer.prefix, made.prefix)
        return made

    monkeypatch.setattr("generator.testing.packages.create", created)
    wanted = Selection(
        packages=("torchaudio", "pytorch-mutex", "cpuonly", "pytorch-cpu"),
        lines=("2.10", "metapackages"),
    )
    options = RunOptions(
        channel=cpu_channel,
        base=(base.url,),
        virtual_packages=machine.virtual_packages,
        sysroot=forge.sysroot(),
    )
    reports = run_tests(project, select(cpu_variants, wanted), options)
    assert len(reports) >= 4
    for report in reports:
        failed = [(step.name, step.output) for step in report.steps if step.outcome != "passed"]
        assert not failed, report.package


def test_records_are_what_rendering_promises(project, cpu_variants, cpu_channel):
    """The solver tests go by rendered records; here they meet those of built packages."""
    promises = tree_records(render(project.declared(), project.locked()))
    for variant in cpu_variants:
        name, promised = promises[variant.id]
        built = next(r for r in cpu_channel.records(variant.subdir) if r.file_name == name)
        assert (list(built.depends), list(built.constrains)) == (
            promised["depends"],
            promised["constrains"],
        )


def test_building_again_elsewhere_gives_the_same_bytes(
    project, cpu_variants, cpu_channel, tmp_path
):
    """Another folder, another number of workers, and a feedstock that lies elsewhere.

    libtorch takes minutes and goes the way of the others; its turn is in `make prove`.
    """
    small = {"torchvision", "torchaudio", "pytorch-cpu", "cpuonly"}
    wanted = [each for each in cpu_variants if proving() or each.package in small]
    assert len(wanted) > len(small)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for name in ("feedstock.yaml", "feedstock.lock.yaml", "recipes", ".ci_support"):
        subprocess.run(["cp", "-r", str(project.root / name), str(copy)], check=True)
    again = LocalChannel(tmp_path / "channel")
    moved = type(project)(feedstock=copy / "feedstock.yaml", narrator=Silent())
    options = BuildOptions(channel=again, jobs=1, level=1)
    build_variants(moved, wanted, options).raise_for_failures()
    for variant in wanted:
        for record in again.records(variant.subdir):
            assert cpu_channel.sha256(variant.subdir, record.file_name) == record.sha256


def test_a_second_build_finds_nothing_to_do(project, cpu_variants, cpu_channel):
    options = BuildOptions(channel=cpu_channel, jobs=2, level=1)
    report = build_variants(project, cpu_variants, options)
    assert {row.status for row in report.rows} == {"skipped"}


def test_the_python_of_the_cells_under_test_is_what_the_forge_has(cpu_variants):
    assert {v.python for v in cpu_variants if v.python} == {PythonBuild(3, 9), PythonBuild(3, 11)}
