"""Each package's own tests, in an environment of it and what it asks for, for every Python here."""

from __future__ import annotations

import pytest

from generator.building import file_name
from generator.channel import LocalChannel
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import Pythons
from generator.stages.build import BuildOptions, build_variants
from generator.stages.test import RunOptions, run_tests
from tests import forge
from tests.conftest import ARM
from tests.forge.declaration import load

pytestmark = [pytest.mark.e2e]

#: lines, and the Pythons that the forge has for them
CASES = {("legacy-2.8", "3.9"), ("2.10", "3.11"), ("2.10", "3.13")}


@pytest.mark.prove
@pytest.mark.emulated
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("line", "python"), sorted(CASES))
def test_every_package_passes_its_own_tests(project, base, machine, runner, tmp_path, line, python):
    wanted = Selection(
        lines=(line, METAPACKAGES),
        subdirs=(ARM,),
        accelerators=("cpu",),
        pythons=Pythons.parse([python]),
    )
    chosen = select(variants(project.declared(), project.locked()), wanted)
    channel = LocalChannel(tmp_path / "channel")
    build_variants(project, chosen, BuildOptions(channel=channel, jobs=1, level=1))
    # metapackages' own are run with the CPU cell's
    tested = [variant for variant in chosen if variant.line == line]
    options = RunOptions(
        channel=channel,
        base=(base.url,),
        virtual_packages=machine.virtual_packages,
        sysroot=forge.sysroot(),
    )
    reports = run_tests(project, tested, options)
    names = {file_name(variant, project.tree) for variant in tested}
    assert {report.package for report in reports} == names
    for report in reports:
        failed = [(step.name, step.output) for step in report.steps if step.outcome != "passed"]
        assert not failed, report.package


def test_no_variant_that_can_be_run_here_is_left_out(project):
    here = {python.version for python in load().pythons}
    found = variants(project.declared(), project.locked())
    chosen = select(found, Selection(subdirs=(ARM,), accelerators=("cpu",)))
    assert {(each.line, str(each.python)) for each in chosen if str(each.python) in here} == CASES
