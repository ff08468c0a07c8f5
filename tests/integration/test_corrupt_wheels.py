"""Every way in which a synthetic wheel can be wrong ends in an error that names what and where."""

from __future__ import annotations

import re

import pytest

from generator.datafiles import subdirs
from generator.errors import ArmtorchError, BuildError, LinkageError, SolveError
from generator.testing import Machine, solve
from tests.integration.small_base import write_base
from tests.integration.synthetic import updated
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import CORRUPTIONS, Release, corrupt

pytestmark = pytest.mark.integration

#: update cannot use the file: there is no cell, and what is held back says why
AT_UPDATE = {
    "doubled-member": ("malformed", "occurs twice"),
    "missing-record-row": ("integrity", "has no hash in RECORD"),
    "thousands-of-licences": ("malformed", "more than 2,000 licence texts"),
    "thousands-of-headers": ("malformed", "more than 5,000 lines"),
}
#: seen when the member is unpacked, or by the audit of the built package
AT_BUILD: dict[str, tuple[type[ArmtorchError], str]] = {
    "other-bytes": (BuildError, "does not have the sha256 of RECORD"),
    "case-clash": (BuildError, "are one file on"),
    "other-machine": (LinkageError, "L-001"),
    "other-format": (LinkageError, "L-001"),
    "truncated-headers": (LinkageError, "L-002"),
}
#: no error, since real wheels do that: the package asks for what its binaries need
RAISED = "floor-above-tag"


def spoilt(subdir: str, how: str):
    wheel = Release(subdir=subdir, torch="2.10.0").wheel("torch", "cp312")
    return corrupt(wheel, how)


def test_every_corruption_has_its_test():
    assert {*AT_UPDATE, *AT_BUILD, RAISED} == set(CORRUPTIONS)


@pytest.mark.parametrize("how", AT_UPDATE)
def test_update_says_why_a_wheel_cannot_be_used(how, tmp_path):
    line = updated(tmp_path, [spoilt("linux-aarch64", how)], "linux-aarch64")
    (held,) = line.project.locked().held
    kind, why = AT_UPDATE[how]
    assert (held.kind, held.project, held.version) == (kind, "torch", "2.10.0")
    assert why in held.detail
    assert {variant.package for variant in line.variants} <= {"pytorch-mutex", "cpuonly"}


@pytest.mark.parametrize(
    ("subdir", "how"),
    [
        ("linux-aarch64", "other-bytes"),
        ("linux-aarch64", "other-machine"),
        ("linux-aarch64", "other-format"),
        ("linux-aarch64", "truncated-headers"),
        ("linux-armv7l", "other-machine"),
        ("osx-arm64", "other-machine"),
        ("osx-arm64", "case-clash"),
        ("win-arm64", "other-machine"),
        ("win-arm64", "other-format"),
        ("win-arm64", "truncated-headers"),
        ("win-arm64", "case-clash"),
    ],
)
def test_the_build_refuses_what_the_index_could_not_show(subdir, how, tmp_path):
    kind, message = AT_BUILD[how]
    packages = ["libtorch"] if "torch_cpu" in _spoilt_member(subdir, how) else ["pytorch-common"]
    with pytest.raises(kind, match=message) as caught:
        updated(tmp_path, [spoilt(subdir, how)], subdir, packages=packages)
    assert caught.value.next_step
    assert _spoilt_member(subdir, how).rpartition("/")[2] in str(caught.value)


@pytest.mark.parametrize(
    ("subdir", "stated", "newer"),
    [("linux-aarch64", "2.28", "__glibc >=2.39"), ("osx-arm64", "14.0", "__osx >=26.0")],
)
def test_a_floor_above_the_tag_is_raised_and_reported(subdir, stated, newer, tmp_path):
    line = updated(tmp_path, [spoilt(subdir, RAISED)], subdir)
    (package,) = line.packages("libtorch")
    name, needed = newer.split(" >=")
    index = Built.open(package).index
    assert newer in index["depends"]
    assert [spec for spec in index["depends"] if spec.startswith(name)] == [newer]
    raised = {row.file_name: row.floor for row in line.report.rows if row.floor is not None}
    assert {package.name: (name, stated, needed)} == {
        file: (floor.package, floor.stated, floor.needed) for file, floor in raised.items()
    }
    (said,) = [text for text in line.heard.warned if "raised" in text]
    assert f"{name} raised from {stated} to {needed}" in said
    assert "libtorch_cpu" in said

    base = write_base(tmp_path, subdir, ["3.12"])

    def pytorch_on(system: str) -> set[str]:
        machine = Machine.of(subdirs()[subdir], native=False, added=[system])
        records = solve(["pytorch"], channels=[line.channel.url, base], machine=machine)
        return {record.name.normalized for record in records}

    assert "libtorch" in pytorch_on(f"{name}={needed}")
    with pytest.raises(SolveError, match=re.escape(newer)):
        pytorch_on(f"{name}={stated}")


def _spoilt_member(subdir: str, how: str) -> str:
    plain = Release(subdir=subdir, torch="2.10.0").wheel("torch", "cp312")
    before, after = dict(plain.members_in_order()), dict(spoilt(subdir, how).members_in_order())
    changed = {name for name in after if before.get(name) != after[name]}
    return next((name for name in sorted(changed) if not name.endswith("RECORD")), "torch_cpu")


def test_linux_keeps_names_that_differ_in_case_only(tmp_path):
    line = updated(
        tmp_path, [spoilt("linux-aarch64", "case-clash")], "linux-aarch64", packages=["libtorch"]
    )
    assert len(line.packages("libtorch")) == 1
