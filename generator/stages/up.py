"""``up``: the whole line, from the lock to a tested channel folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from generator.atomic import write_text
from generator.building import BuildReport
from generator.channel.built import labels
from generator.datafiles import subdirs
from generator.documents import limits, load_json, read_bytes
from generator.errors import ArmtorchError, MalformedError, SelectionError, UnreachableError
from generator.feedstock import refuse_unknown_indexes
from generator.matrix import METAPACKAGES, Selection, newest_lines, select, variants
from generator.model import Lock, Variant
from generator.naming.projects import python_builds
from generator.project import Project, base_channels
from generator.rendering import OwnPackage, own_package
from generator.stages.build import BuildOptions, build_variants
from generator.stages.grounding import ground
from generator.stages.test import RunOptions, run_tests
from generator.testing import ChannelSolver, Machine, PackageReport

_MANIFEST = "info/armtorch/manifest.json"
_OWN = "armtorch's own package, for conda armtorch why"
_SOLVED = "the base channel has what it needs"
_LINKAGE = (
    "every binary is for its subdir and finds its libraries in the package, a declared dependency "
    "or the system"
)


@dataclass(frozen=True, kw_only=True)
class UpResult:
    """What a run of the whole line did, and what it could not prove."""

    chosen: tuple[Variant, ...]
    report: BuildReport
    tests: tuple[PackageReport, ...]
    #: plain sentences
    verified: tuple[str, ...]
    unverified: tuple[str, ...]
    #: labels of the channel and base channels that the command at the end names
    labels: tuple[str, ...]
    base: tuple[str, ...]
    #: what upstream did not answer, survived with what the lock knew
    findings: tuple[ArmtorchError, ...]
    #: whether a package was not installed, or its programs not run
    untested: bool = False


@dataclass(frozen=True, kw_only=True)
class UpPlan:
    """What a run of the whole line builds, and from where."""

    #: rendered; of the run's own where the committed lock lacks something
    project: Project
    chosen: tuple[Variant, ...]
    #: what upstream did not answer, survived with what the lock knew
    findings: tuple[ArmtorchError, ...]


def plan(
    project: Project,
    wanted: Selection,
    torch: str | None = None,
    *,
    offline: bool = False,
    only: Sequence[str] = (),
) -> UpPlan:
    """Say what would be built of the lock, or of what upstream has and the lock lacks.

    ``torch`` is a version or minor instead of the lock's newest; ``only`` are the indexes that are
    asked for what the lock lacks, empty for all.
    Raises ArmtorchError: any stage's error that leaves nothing to go on with.
    """
    _refuse_unknown(project, wanted)
    refuse_unknown_indexes(only, project.declared().indexes)
    project, findings = ground(project, wanted, torch, offline=offline, only=only)
    chosen = _choose(project, wanted, torch)
    return UpPlan(project=project, chosen=chosen, findings=findings)


def up(planned: UpPlan, *, build: BuildOptions, run: RunOptions) -> UpResult:
    """Build what was planned, and test it.

    Raises ArmtorchError: any stage's error that leaves nothing to go on with.
    """
    project, chosen = planned.project, planned.chosen
    report = build_variants(project, chosen, build)
    tests, verified, unverified, untested = _verify(project, chosen, report, run)
    subdir = next((each.subdir for each in chosen if each.subdir != "noarch"), "")
    return UpResult(
        chosen=chosen,
        report=report,
        tests=tests,
        verified=verified,
        unverified=(*unverified, *_not_looked_at(project.known(), chosen)),
        labels=labels(project.declared(), chosen),
        base=run.base or base_channels(project.declared(), subdir),
        findings=planned.findings,
        untested=untested,
    )


def _not_looked_at(lock: Lock, chosen: Iterable[Variant]) -> Iterator[str]:
    """Say for which of the cells that were built upstream could not be asked for a newer one."""
    places = {(each.line, each.subdir, each.accelerator) for each in chosen}
    for cell in lock.cells:
        if (cell.line, cell.subdir, cell.accelerator) not in places:
            continue
        for name in cell.behind:
            since = lock.silent.get(name, "")
            yield f"whether {name} has a newer torch than {cell.name}: no answer since {since}"
        if cell.unreachable_since:
            yield (
                f"what there is now of {cell.name}: an index of it does not answer since "
                f"{cell.unreachable_since}"
            )


def _refuse_unknown(project: Project, wanted: Selection) -> None:
    """Raise SelectionError for a subdir or a Python that no index need be asked about."""
    feedstock = project.declared()
    declared = {
        *map(str, feedstock.subdirs),
        *(s for each in feedstock.lines for s in each.subdirs),
    }
    for option, asked, known in (
        ("--subdir", wanted.subdirs, sorted(declared)),
        (
            "--python",
            [str(each).rstrip("t") for each in wanted.pythons.only],
            # what the lock has is known as well: upstream may be ahead of the rows
            list(
                dict.fromkeys(
                    [
                        *map(str, python_builds()),
                        *(str(p).rstrip("t") for c in project.locked().cells for p in c.pythons()),
                    ]
                )
            ),
        ),
    ):
        for one in asked:
            if one not in known:
                near = get_close_matches(one, known, n=1, cutoff=0.5)
                hint = f"perhaps you meant {near[0]}; " if near else ""
                raise SelectionError(
                    f"{one} is none that is known; there are {', '.join(known)}",
                    where=option,
                    next_step=f"{hint}another one is a row of feedstock.yaml, or of data/",
                )


def _choose(project: Project, wanted: Selection, torch: str | None) -> tuple[Variant, ...]:
    lock = project.known()
    lines = newest_lines(lock.cells, wanted, torch=torch)
    narrowed = replace(wanted, lines=(*lines, METAPACKAGES))
    return select(variants(project.declared(), lock), narrowed)


def _verify(
    project: Project, chosen: Sequence[Variant], report: BuildReport, run: RunOptions
) -> tuple[tuple[PackageReport, ...], tuple[str, ...], tuple[str, ...], bool]:
    """Test what is new or was never tested, and say what was proven and what was not."""
    ids = {variant.id for variant in chosen}
    done = [row for row in report.rows if row.status != "failed" and row.id in ids]
    built = [row for row in done if row.status == "built"]
    wheels = {sha256 for row in built for sha256 in row.wheels}
    verified = [
        f"{len(wheels)} wheels have the sha256 of the lock",
        f"every file of {len(built)} packages has its sha256 of RECORD, or the reason why not in "
        + _MANIFEST,
        f"of those, {_LINKAGE}",
    ]
    if not built:
        verified = []
    memory = _Tested(project.root / ".armtorch" / "tested.json")
    fresh = {row.id for row in done if row.sha256 not in memory.known()}
    todo = [variant for variant in chosen if variant.id in fresh]
    tests: tuple[PackageReport, ...] = ()
    unverified: list[str] = []
    if there := len(done) - len(built):
        unverified.append(
            f"{there} packages were there under their names, and were not opened: armtorch verify"
        )
    if todo:
        try:
            tests = run_tests(project, todo, run)
        except UnreachableError as error:
            unverified.append(f"installing and running: {error.where} does not answer")
    by_id = {row.id: row for row in done}
    for variant, tested in zip(todo, tests, strict=False):
        if _all_passed(tested):
            memory.remember(by_id[variant.id].sha256, tested.how)
    verified += _proven(tests, done_count=len(done), fresh=len(fresh))
    unverified += [
        f"{tested.package}: {step.name}: {(step.output or tested.how).splitlines()[0]}"
        for tested in tests
        for step in tested.steps
        if step.outcome == "failed"
    ]
    not_run = Counter(
        tested.how for tested in tests for step in tested.steps if step.outcome == "not run"
    )
    unverified += [f"{number} test programs {how}" for how, number in not_run.items()]
    for row in report.rows:
        if row.id in ids or row.sha256 in memory.known():
            continue
        own = own_package(project.declared(), project.known())
        if own is None or row.id != own.variant.id:
            continue
        if lacking := _not_in_base(project, own, run):
            unverified.append(f"{_OWN}: {lacking}")
        elif row.sha256:
            memory.remember(row.sha256, _SOLVED)
            verified.append(f"{_OWN}: {_SOLVED}")
    untested = len(tests) < len(todo) or not all(_all_passed(each) for each in tests)
    return tests, tuple(verified), tuple(unverified), untested


def _not_in_base(project: Project, own: OwnPackage, run: RunOptions) -> str:
    """Say what keeps armtorch's own package from being installed beside the base; "" for nothing.

    Its programs are not run: they are those that run here.
    """
    name = next(iter(project.declared().subdirs))
    solver = ChannelSolver(
        channels=run.base or base_channels(project.declared(), name),
        machine=Machine.of(subdirs()[name], native=False, added=run.virtual_packages),
    )
    try:
        blocking = solver.blocking(own.depends)
    except UnreachableError as error:
        return f"{error.where} does not answer"
    return f"the base channel has no {', '.join(blocking)}" if blocking else ""


def _proven(tests: tuple[PackageReport, ...], *, done_count: int, fresh: int) -> list[str]:
    passed = [each for each in tests if _all_passed(each) and each.runs]
    installed = [each for each in tests if each not in passed and each.passed]
    lines = []
    if installed:
        lines.append(f"{len(installed)} packages solve and install against the base channel")
    if passed:
        ways = ", ".join(sorted({each.how for each in passed}))
        lines.append(f"{len(passed)} packages install and pass their tests ({ways})")
    if done_count > fresh:
        lines.append(f"{done_count - fresh} packages passed their tests in an earlier run")
    return lines


def _all_passed(report: PackageReport) -> bool:
    return all(step.outcome == "passed" for step in report.steps)


@dataclass(frozen=True)
class _Tested:
    """Remembers by sha256 which packages passed, so that an unchanged run takes seconds."""

    path: Path

    def known(self) -> dict[str, str]:
        try:
            found = load_json(read_bytes(self.path, limits().json.bytes), str(self.path))
        except (OSError, MalformedError):
            return {}  # forgetting costs a test run, nothing else
        return found if isinstance(found, dict) else {}

    def remember(self, sha256: str, how: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        write_text(self.path, json.dumps({**self.known(), sha256: how}, indent=1, sort_keys=True))
