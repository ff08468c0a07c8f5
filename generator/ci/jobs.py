"""What a CI's jobs ask: which jobs there are, and what a channel joined from them lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from generator.atomic import move
from generator.building import file_name
from generator.channel import LocalChannel
from generator.channel.built import labels
from generator.channel.places import open_place
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.ci.against_base import against_base
from generator.errors import IntegrityError, SelectionError
from generator.feedstock import Feedstock
from generator.inspecting.proving import PACKAGES, place_in_channel, what_lies_in
from generator.matrix import Job, Jobs, find_job, jobs, matrix_view, variants
from generator.matrix.smithy import smithy
from generator.model import Variant
from generator.project import Project
from generator.rendering import child_pipeline, own_package, workflow_settings


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """The jobs of a CI, and what is not built and why."""

    jobs: Jobs
    #: id of a variant -> what blocks it
    blocked: dict[str, str]
    #: whether it is one Python per cell, only to be tried
    sample: bool = False
    #: digest of armtorch's own package, which the metapackages' job makes, too; "" for none
    own: str = ""

    def markdown(self) -> str:
        """Return the summary of the plan."""
        packages = sum(len(job.variants) for job in self.jobs.all)
        lines = [f"{packages} packages in {len(self.jobs.all)} jobs."]
        return "\n".join(lines + _blocked_lines(self.blocked))

    def rows(self, found: Iterable[Job]) -> list[dict[str, str]]:
        """Return jobs as GitHub's matrix, without those that have nothing to do."""
        return [self._row(job) for job in found if not self.blocked.keys() >= _ids(job)]

    def pipeline(self, feedstock: Feedstock) -> str:
        """Return the jobs as a pipeline that GitLab starts."""
        planned = [job for job in self.jobs.all if not self.blocked.keys() >= _ids(job)]
        names = [job.name for job in planned if job in self.jobs.shared]
        rounds: dict[str, list[dict[str, object]]] = {"shared": [], "variants": []}
        for job in planned:
            globs = job.needs.strip("{}").split(",")
            rounds["variants" if job.needs else "shared"].append(
                {
                    "name": job.name,
                    "runner": workflow_settings().gitlab.runner(job.subdir),
                    "skip": self._skipped(job),
                    "needs": [name for name in names if any(fnmatch(name, g) for g in globs)],
                }
            )
        return child_pipeline(feedstock, rounds)

    def _skipped(self, job: Job) -> str:
        return " ".join(v.id for v in job.variants if v.id in self.blocked)

    def _row(self, job: Job) -> dict[str, str]:
        settings = workflow_settings()
        noarch = job.subdir == "noarch"
        # a run that tries a release and then builds it has two artifacts of a job
        kind = "tried" if self.sample else "packages"
        return {
            "name": job.name,
            "runner": (
                settings.runner if noarch else smithy().platforms[job.subdir].github_actions_labels
            ),
            "architecture": settings.architectures.get(job.subdir, ""),
            "digest": f"{job.digest}{self.own[:20] if noarch else ''}",
            "artifact": f"{kind}-{job.name}",
            "needs": f"{kind}-{job.needs}" if job.needs else "",
            "skip": self._skipped(job),
        }


def plan(
    project: Project,
    *,
    train: str = "",
    cells: Sequence[str] | None = None,
    sample: bool = False,
    machine: tuple[str, ...] | None = None,
) -> JobPlan:
    """Group the variants of the lock, or of one train, into jobs.

    ``cells`` are ``<line>/<subdir>/<accelerator>``; ``sample`` takes one Python of each. With
    ``machine``, what the base channels cannot satisfy now on a common machine with these virtual
    packages is left out.
    Raises LockError, FeedstockError: the files cannot be used. SelectionError: there are more cells
    than a matrix may have jobs, or no such train or cell. UnreachableError: a base channel did not
    answer.
    """
    settings = workflow_settings()
    found = _some(project.declared(), variants(project.declared(), project.known()), train, cells)
    made = jobs(
        found,
        pythons_per_job=settings.pythons_per_job,
        maximum=settings.maximum_jobs,
        sample=sample,
    )
    planned = [variant for job in made.all for variant in job.variants]
    blocked = {} if machine is None else _blocked(project, planned, machine)
    own = own_package(project.declared(), project.known())
    digest = "" if own is None else own.variant.digest
    return JobPlan(jobs=made, blocked=blocked, sample=sample, own=digest)


def _ids(job: Job) -> set[str]:
    return {variant.id for variant in job.variants}


def _blocked(
    project: Project, planned: Sequence[Variant], machine: tuple[str, ...]
) -> dict[str, str]:
    """Ask the base channels, and say of every variant that has no solution what it lacks."""
    view = matrix_view(project.declared(), project.known())
    places, ids = {each.cell for each in planned}, {each.id for each in planned}
    cells = [c for c in view.cells if f"{c.line}/{c.subdir}/{c.accelerator}" in places]
    view = against_base(project, replace(view, cells=tuple(cells)), virtual_packages=machine)
    return {
        each.id: f"the base channels lack {', '.join(each.by)}"
        for cell in view.cells
        if cell.base is not None
        for each in cell.base.blocked
        if each.id in ids
    }


def _blocked_lines(blocked: Mapping[str, str]) -> list[str]:
    head = ["", "Not built, since the base channels lack something:", ""]
    lines = [f"- `{variant}`: {reason}" for variant, reason in blocked.items()]
    return head + lines if lines else []


def job_variants(project: Project, name: str, skipped: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Return the variants of a job, by its name, but for some.

    Raises SelectionError: there is no such job.
    """
    whole, sample = plan(project).jobs, plan(project, sample=True).jobs
    found = find_job((*whole.all, *sample.variants), name).variants
    return tuple(variant for variant in found if variant.id not in skipped)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What a channel joined from the artifacts of jobs has, and what is not there."""

    there: tuple[str, ...]
    #: ids of variants
    missing: tuple[str, ...]
    #: paths in the channel of packages that no job was to make
    aside: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Return the summary of a publish job."""
        lines = [f"{len(self.there)} packages are there, {len(self.missing)} are not."]
        if self.missing:
            lines += ["", "Not there, see the jobs of these cells:", ""]
            lines += [f"- `{each}`" for each in self.missing]
        if self.aside:
            lines += ["", "Set aside, since no job was to make them:", ""]
            lines += [f"- `{each}`" for each in self.aside]
        return "\n".join(lines)


def join(
    project: Project,
    folder: Path,
    *,
    train: str = "",
    cells: Sequence[str] | None = None,
    made: Sequence[Path] = (),
    wanted: Sequence[Variant] | None = None,
    aside: Path | None = None,
) -> Joined:
    """Index a channel folder into which artifacts were unpacked, and say what it lacks.

    ``made`` are folders with more packages, which are put beside the others, or in their places.
    What is looked for is of ``train`` and ``cells``, or it is ``wanted``. Packages that no job was
    to make go ``aside``.
    Raises IntegrityError: it has a package that no job was to make, and ``aside`` is not given.
    StorageError: the folder cannot be written.
    """
    feedstock = project.declared()
    known = variants(feedstock, project.known())
    channel = LocalChannel(folder)
    for path in (path for each in made for path in sorted(each.rglob("*.conda"))):
        own = channel.root / place_in_channel(path).parent
        LocalChannel(own.parent).place(path, own.name, replace=True, copy=True)
    places = {variant.id: _place(project, feedstock, channel, variant) for variant in known}
    beside = set[Path]()
    if (carried := own_package(feedstock, project.known())) is not None:
        labelled = channel.labelled(feedstock.label(carried.variant.train))
        beside.add(labelled.root / carried.variant.subdir / carried.file_name)
    strays = _strays(folder, {*places.values()} | beside)
    if strays and aside is None:
        raise IntegrityError(
            "no job was to make this package",
            where=str(strays[0]),
            next_step="look at the jobs of this run: a test may have done more than testing",
        )
    for path in strays:
        move(path, (aside or folder) / path.relative_to(folder))
    wanted = _some(feedstock, known, train, cells) if wanted is None else wanted
    there = [variant.id for variant in wanted if places[variant.id].is_file()]
    missing = [variant.id for variant in wanted if not places[variant.id].is_file()]
    # the channel itself too, however empty: what is under a label is asked for beside it
    for label in dict.fromkeys(("", *labels(feedstock, wanted))):
        place = channel.labelled(label)
        if place.root.is_dir():
            Served(store=FolderStore(place)).index()
    return Joined(
        there=tuple(there),
        missing=tuple(missing),
        aside=tuple(path.relative_to(folder).as_posix() for path in strays),
    )


def _strays(folder: Path, places: Collection[Path]) -> list[Path]:
    """Return what lies under a package's name and is none that a job was to make."""
    named = (path for path in what_lies_in(folder) if path.name.endswith(PACKAGES))
    return sorted(p for p in named if p not in places or p.is_symlink() or not p.is_file())


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What a destination lacks of the lock."""

    #: cell -> packages that can be built
    cells: dict[str, int]
    #: id of a variant -> what blocks it
    blocked: dict[str, str]

    def markdown(self) -> str:
        """Return the summary of what is missing."""
        lines = [f"- {cell}: {count} packages" for cell, count in self.cells.items()]
        lines = ["Not on the channel:", "", *lines] if lines else ["Nothing is missing."]
        return "\n".join(lines + _blocked_lines(self.blocked))


def missing_cells(project: Project, to: str, *, machine: tuple[str, ...] | None = None) -> Missing:
    """Return the cells of which a destination lacks packages of the lock, and how many.

    ``to`` is as for ``publish``, ``machine`` as for `plan`: nothing that is built again can mend
    what the base channels lack.
    Raises UnreachableError, DeclinedError: the destination does not say what it has, or a base
    channel did not answer. SelectionError: there is no such destination.
    """
    feedstock = project.declared()
    known = variants(feedstock, project.known())
    there = {
        label: open_place(project, to, label).target.packages()
        for label in labels(feedstock, known)
    }
    lacking = [
        variant
        for variant in known
        if f"{variant.subdir}/{file_name(variant, project.tree)}"
        not in there[feedstock.label(variant.train)]
    ]
    blocked = {} if machine is None or not lacking else _blocked(project, lacking, machine)
    found = Counter(each.cell for each in lacking if each.id not in blocked)
    return Missing(cells=dict(found), blocked=blocked)


def _place(project: Project, feedstock: Feedstock, channel: LocalChannel, variant: Variant) -> Path:
    place = channel.labelled(feedstock.label(variant.train))
    return place.root / variant.subdir / file_name(variant, project.tree)


def _some(
    feedstock: Feedstock, found: Sequence[Variant], train: str, cells: Sequence[str] | None
) -> tuple[Variant, ...]:
    """Keep the variants of a train or of some cells, and the metapackages that they need."""
    known = {variant.cell for variant in found}
    for kind, asked, there in (
        ("train", {train} - {""}, feedstock.trains),
        ("cell", cells or (), known),
    ):
        if lost := sorted(set(asked) - set(there)):
            raise SelectionError(
                f"there is no {kind} {', '.join(lost)}",
                where=f"--{kind.replace('cell', 'cells')}",
                next_step=f"there are {', '.join(sorted(there))}",
            )
    chosen = {
        variant.id: variant.depends
        for variant in found
        if train in {"", variant.train} and (cells is None or variant.cell in cells)
    }
    needed = {each for depends in chosen.values() for each in depends}
    return tuple(v for v in found if v.id in chosen or v.id in needed)
