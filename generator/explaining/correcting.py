"""Writes the environment.yml that works, with the pip section that goes with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from generator.explaining.facts import pattern
from generator.explaining.plainly import plainly
from generator.explaining.reading_pip import PipRequest
from generator.explaining.request import Request
from generator.explaining.requirements import Place, project_of
from generator.explaining.wheels import Judged


def corrected_file(
    given: Request,
    pip: PipRequest | None,
    wheels: Sequence[Judged],
    variables: Mapping[str, object],
    place: Place,
) -> str:
    """Return the environment.yml of a request that works, its pip section carried over.

    Args:
        given: the conda part, as it is to be asked.
        pip: the pip section as it was.
        wheels: what was found of it.
        variables: what the file sets, as it was.
        place: whose wheels pip takes.

    """
    name = given.target[1] if given.target[:1] == ("-n",) else "torch"
    channels = [*given.searched, *(["nodefaults"] if given.override else [])]
    specs = list(given.specs)
    if pip is not None and not any(re.match(r"pip(?![\w-])", spec) for spec in specs):
        specs.append("pip")
    lines = []
    if given.subdir:
        lines.append(f"# for {given.subdir}: conda env create --platform {given.subdir}")
    lines += [f"name: {_scalar(name)}", "channels:", *(f"  - {_scalar(each)}" for each in channels)]
    lines += ["dependencies:", *(f"  - {_scalar(each)}" for each in specs)]
    if pip is not None:
        lines += [
            "  - pip:",
            *(f"      - {line}" for line in _section(pip, wheels, place)),
        ]
    if variables:
        lines += ["variables:", *(f"  {key}: {json.dumps(str(v))}" for key, v in variables.items())]
    return "\n".join(lines) + "\n"


def _section(pip: PipRequest, wheels: Sequence[Judged], place: Place) -> Iterator[str]:
    here = tuple(each for each in pip.requirements if place.takes(each))
    mended = plainly(replace(pip, requirements=here), place)
    if mended.index:
        yield _scalar(f"--index-url {mended.index}")
    for url in mended.extra:
        yield _scalar(f"--extra-index-url {url}")
    notes = {project_of(w.requirement): f"  # {w.detail}" for w in wheels if w.state == "fails"}
    # what is for other machines stays as it is, last
    for each in (*mended.requirements, *(e for e in pip.requirements if e not in here)):
        yield f"{_scalar(each)}{notes.get(project_of(each), '')}"
    for name in mended.unread:
        yield f"{_scalar(name)}  # not looked at"


def _scalar(text: str) -> str:
    return json.dumps(text) if pattern("special").search(text) else text
