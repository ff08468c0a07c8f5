"""What a CI's jobs ask: which jobs there are, and what a channel joined from them lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.building import file_name
from generator.channel import LocalChannel
from generator.matrix import Job, Jobs, find_job, jobs, matrix_view, variants
from generator.matrix.smithy import smithy
from generator.model import Variant
from generator.rendering import workflow_settings
from generator.stages.against_base import against_base
from generator.stages.packages import labels
from generator.stages.project import Project


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a CI, and what is not built and why."""

    jobs: Jobs
    #: id of a variant -> what blocks it
    blocked: dict[str, str]

    def markdown(self) -> str:
        """Return the summary of the plan."""
        packages = sum(len(job.variants) for job in self.jobs.all)
        lines = [f"{packages} packages in {len(self.jobs.all)} jobs."]
        if self.blocked:
            lines += ["", "Not built, since the base channels lack something:", ""]
            lines += [f"- `{variant}`: {reason}" for variant, reason in self.blocked.items()]
        return "\n".join(lines)

    def rows(self, found: Iterable[Job]) -> list[dict[str, str]]:
        """Return jobs as GitHub's matrix, without those that have nothing to do."""
        return [
            self._row(job) for job in found if any(v.id not in self.blocked for v in job.variants)
        ]

    def _row(self, job: Job) -> dict[str, str]:
        settings = workflow_settings()
        noarch = job.subdir == "noarch"
        platform = "linux" if noarch else job.subdir.partition("-")[0]
        return {
            "name": job.name,
            "runner": (
                settings.runner if noarch else smithy().platforms[job.subdir].github_actions_labels
            ),
            "architecture": settings.architectures.get(job.subdir, ""),
            "wheelhouse": settings.wheelhouses[platform],
            "wheels": job.wheels,
            "digest": job.digest,
            "needs": job.needs,
            "skip": " ".join(v.id for v in job.variants if v.id in self.blocked),
        }


def plan(
    project: Project,
    *,
    train: str = "",
    sample: bool = False,
    machine: tuple[str, ...] | None = None,
) -> Plan:
    """Group the variants of the lock, or of one train, into jobs.

    Args:
        project: the feedstock.
        train: only this one; "" for all.
        sample: one Python per cell.
        machine: leave out what the base channels cannot satisfy now on a common machine with
            these virtual packages; None to ask no base channel.

    Raises:
        LockError, FeedstockError: the files cannot be used.
        SelectionError: there are more cells than a matrix may have jobs.
        UnreachableError: a base channel did not answer.

    """
    settings = workflow_settings()
    found = _of_train(variants(project.declared(), project.known()), train)
    made = jobs(
        found,
        pythons_per_job=settings.pythons_per_job,
        maximum=settings.maximum_jobs,
        sample=sample,
    )
    return Plan(jobs=made, blocked={} if machine is None else _blocked(project, made, machine))


def _blocked(project: Project, made: Jobs, machine: tuple[str, ...]) -> dict[str, str]:
    """Ask the base channels, and say of every variant that has no solution what it lacks."""
    view = matrix_view(project.declared(), project.known())
    view = against_base(project, view, virtual_packages=machine)
    planned = {variant.id for job in made.all for variant in job.variants}
    return {
        each.id: f"the base channels lack {', '.join(each.by)}"
        for cell in view.cells
        if cell.base is not None
        for each in cell.base.blocked
        if each.id in planned
    }


def job_variants(project: Project, name: str, skipped: Sequence[str] = ()) -> tuple[Variant, ...]:
    """Return the variants of a job, by its name, but for some.

    Raises:
        SelectionError: there is no such job.

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

    def markdown(self) -> str:
        """Return the summary of a publish job."""
        lines = [f"{len(self.there)} packages are there, {len(self.missing)} are not."]
        if self.missing:
            lines += ["", "Not there, see the jobs of these cells:", ""]
            lines += [f"- `{each}`" for each in self.missing]
        return "\n".join(lines)


def join(project: Project, folder: Path, *, train: str = "") -> Joined:
    """Index a channel folder into which artifacts were unpacked, and say what it lacks.

    Raises:
        StorageError: the folder cannot be written.

    """
    feedstock = project.declared()
    wanted = _of_train(variants(feedstock, project.known()), train)
    channel = LocalChannel(folder)
    there: list[str] = []
    missing: list[str] = []
    for variant in wanted:
        place = channel.labelled(feedstock.label(variant.train))
        name = file_name(variant, project.root)
        (there if place.find(variant.subdir, name) is not None else missing).append(variant.id)
    for label in labels(feedstock, wanted):
        place = channel.labelled(label)
        if place.root.is_dir():
            place.index()
    return Joined(there=tuple(there), missing=tuple(missing))


def _of_train(found: Iterable[Variant], train: str) -> tuple[Variant, ...]:
    """Keep a train's variants, and the metapackages that it needs."""
    chosen = tuple(found)
    if not train:
        return chosen
    needed = {each for variant in chosen if variant.train == train for each in variant.depends}
    return tuple(v for v in chosen if v.train == train or v.id in needed)
