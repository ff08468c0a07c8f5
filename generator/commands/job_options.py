"""What a CI's job selects by, beside what people do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from generator.commands.options import ManyValues, joined, selection
from generator.matrix import select, variants
from generator.model import Variant
from generator.project import Project

_F = TypeVar("_F", bound=Callable[..., Any])


def job_options(command: _F) -> _F:
    """Add what a CI's job selects by instead."""
    skip = click.option(
        "--skip",
        "skipped",
        multiple=True,
        type=ManyValues(empty=True),
        callback=joined,
        metavar="IDS",
        help="Variants of the job that are left out.",
    )
    job = click.option("--job", default="", help="The variants of a CI's job: armtorch ci plan.")
    return job(skip(command))


def chosen_variants(
    project: Project, globs: tuple[str, ...], job: str, skipped: tuple[str, ...], **filters: Any
) -> tuple[Variant, ...]:
    """Return the variants of a CI's job, or those that globs and options select.

    Raises SelectionError: nothing is selected, or there is no such job.
    """
    if not job:
        return select(variants(project.declared(), project.known()), selection(globs, **filters))
    if globs or any(filters.values()):
        raise click.UsageError("a job has its own variants: no globs or filters beside --job")
    from generator.ci.jobs import job_variants  # noqa: PLC0415 - a CI asks for it alone

    return job_variants(project, job, skipped)
