"""Reads requirements as they hold on the target, never on the machine that runs armtorch."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from generator.documents import holds, parse_requirement, parse_version
from generator.errors import CudaLineError
from generator.model.accelerator import Accelerator
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.upstream.policy import CudaRequirement


def environment(subdir: Subdir, python: PythonBuild) -> dict[str, str]:
    """Return the PEP 508 environment of ``python`` on ``subdir``, no extra asked for."""
    return {**subdir.markers, **python.markers}


def active(requires: Iterable[str], target: dict[str, str]) -> tuple[Requirement, ...]:
    """Return the requirements whose marker holds on ``target``; raises MalformedError."""
    parsed = (parse_requirement(text, "METADATA") for text in requires)
    return tuple(each for each in parsed if holds(each, target, "METADATA"))


def accelerator_of(
    requirements: Iterable[Requirement], rows: tuple[CudaRequirement, ...], where: str
) -> Accelerator:
    """Read what a torch wheel was built for from its active requirements.

    Raises CudaLineError: they ask for NVIDIA's libraries and none says which CUDA it is.
    """
    names = {canonicalize_name(r.name): r for r in requirements}
    marks = [(row, r) for row in rows for name, r in names.items() if re.fullmatch(row.name, name)]
    if not marks:
        return Accelerator()
    for row, requirement in marks:
        pins = [
            s.version.removesuffix(".*")
            for s in requirement.specifier
            if s.operator in {"==", "~="}
        ]
        if row.says_version and pins:
            pinned = parse_version(pins[0], where)
            return known_line(Accelerator((pinned.major, pinned.minor)), requirement, where)
    found = ", ".join(sorted({str(r) for _, r in marks}))
    raise CudaLineError(
        f"it needs {found}, and nothing says which CUDA that is",
        where=where,
        next_step="add a row to cuda_requirements in generator/data/trio_policy.yaml",
    )


def known_line(found: Accelerator, said: object, where: str) -> Accelerator:
    """Return a CUDA line; CudaLineError for one that has no name, such as 13.99."""
    try:
        return found if found.cuda is None else Accelerator.parse(str(found))
    except ValueError as error:
        raise CudaLineError(
            f"{said} names CUDA {found.cuda_compiler_version}, and there is no such line",
            where=where,
            next_step="report it upstream",
        ) from error
