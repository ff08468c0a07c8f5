"""``ci plan --cost``: job minutes and kept bytes that a feedstock needs of GitHub in a month.

What a job takes follows from what it downloads and packs, by the rates of data/workflows.yaml,
which say where they are from. They are for planning; a bill is GitHub's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from generator.ci.jobs import plan
from generator.matrix import Job
from generator.project import Project
from generator.rendering import workflow_settings


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one kind of run takes in a month."""

    name: str
    #: in a month
    runs: int
    #: of one run
    jobs: int
    #: of all runs; each job is rounded up, as GitHub does
    minutes: int
    #: the same, as a private repository is billed: macOS and Windows count more
    billed: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A month."""

    uses: tuple[Use, ...]
    #: jobs of one run that may run at the same time
    at_once: int
    #: that caches hold at once: a look's, and what a release's jobs made, tried and whole
    cache_bytes: int
    #: of these, what every nightly brings
    nightly_bytes: int
    #: packages of the lock on the channel
    channel_bytes: int

    @property
    def minutes(self) -> int:
        """Job minutes of the month."""
        return sum(each.minutes for each in self.uses)

    @property
    def billed(self) -> int:
        """Minutes that a private repository is billed."""
        return sum(each.billed for each in self.uses)

    def markdown(self) -> str:
        """Return the tables of docs/month.md."""
        free = workflow_settings().costs
        lines = ["| in a month | runs | jobs each | minutes | billed if private |"]
        lines.append("|---|--:|--:|--:|--:|")
        lines += [
            f"| {u.name} | {u.runs} | {u.jobs} | {u.minutes:,} | {u.billed:,} |" for u in self.uses
        ]
        billed = f"{self.billed:,} of {free.free_minutes:,}"
        lines.append(f"| together | | | {self.minutes:,} | {billed} |")
        most = f"{self.cache_bytes / 1e9:.1f} GB"
        if self.nightly_bytes:
            most += f", and {self.nightly_bytes / 1e9:.1f} GB a nightly: the oldest go"
        lines += ["", "| GitHub's limit | public, free | this |", "|---|--:|--:|"]
        lines.append(f"| minutes | none | {self.minutes:,} |")
        lines.append(f"| jobs at once | {free.jobs_at_once} | {self.at_once} |")
        lines.append(f"| caches | {free.cache_bytes / 1e9:.0f} GB | {most} |")
        lines.append(f"| artifacts | none | {self.cache_bytes / 1e9:.1f} GB a release |")
        return "\n".join([*lines, "", f"On the channel: {self.channel_bytes / 1e9:.1f} GB."])


def monthly_cost(project: Project) -> Cost:
    """Say what a month takes; raises as `plan` does."""
    costs = workflow_settings().costs
    rounds = plan(project).jobs
    tried, whole = plan(project, sample=True).jobs.all, rounds.all
    nightly = "nightly" in project.declared().trains
    small = _job(costs.look_minutes)
    uses = [
        _use("a look at upstream", costs.looks, [(1, small)]),
        _use("a release: proposed, tried, merged", costs.releases, [(3, small), *_all(tried)]),
        _use("and built whole, published", costs.releases, [(1, small), *_all(whole)]),
        _use("a night: watch, missing, retire", costs.nights, [(3, small)]),
    ]
    if nightly:
        # at most: not every cell of a release has a nightly
        jobs = [(4, small), *_all((*tried, *whole), nightly=True)]
        uses.append(_use("a nightly, if of every cell: tried, published", costs.nights, jobs))
    return Cost(
        uses=tuple(uses),
        at_once=max(len(rounds.shared), len(rounds.variants)),
        cache_bytes=costs.index_bytes + _bytes(tried) + _bytes(whole),
        nightly_bytes=(_bytes(tried) + _bytes(whole)) * nightly,
        channel_bytes=_bytes(whole),
    )


def _all(jobs: Iterable[Job], *, nightly: bool = False) -> list[tuple[int, tuple[int, int]]]:
    return [(1, _of(job, released=not (nightly or job.needs))) for job in jobs]


def _of(job: Job, *, released: bool) -> tuple[int, int]:
    """Return a job's minutes, and those that are billed."""
    costs = workflow_settings().costs
    minutes = (
        costs.job_minutes
        + _wheels([job]) / costs.bytes_per_minute
        + _wheels([job]) / costs.released_bytes_per_minute * released
        + len(job.variants) * costs.package_minutes
    )
    return _job(minutes, job.subdir.partition("-")[0])


def _job(minutes: float, platform: str = "linux") -> tuple[int, int]:
    whole = math.ceil(minutes)
    return whole, whole * workflow_settings().costs.multipliers.get(platform, 1)


def _use(name: str, runs: int, jobs: list[tuple[int, tuple[int, int]]]) -> Use:
    return Use(
        name=name,
        runs=runs,
        jobs=sum(number for number, _ in jobs),
        minutes=runs * sum(number * minutes for number, (minutes, _) in jobs),
        billed=runs * sum(number * billed for number, (_, billed) in jobs),
    )


def _wheels(jobs: Iterable[Job]) -> int:
    found = {w.sha256: w.size for job in jobs for v in job.variants for w in v.wheels}
    return sum(found.values())


def _bytes(jobs: Iterable[Job]) -> int:
    """Return bytes of packages: each wheel once, since a cell's Pythons share what they have."""
    return round(_wheels(jobs) * workflow_settings().costs.packed)
