"""An environment file that works, with what was wrong in it as comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from generator.explaining.facts import facts
from generator.explaining.reading_pip import PipRequest
from generator.explaining.request import Request
from generator.explaining.wheels import Wheel, plainly

#: what YAML does not take as it stands (YAML 1.2, plain scalars)
_SPECIAL = re.compile(r"^[-?:,\[\]{}#&*!|>'\"%@`]|: |[ \t]#|^$")


def corrected_file(given: Request, pip: PipRequest | None, wheels: Sequence[Wheel]) -> str:
    """Return the environment.yml of a request that works, its pip section carried over.

    Args:
        given: the conda part, as it is to be asked.
        pip: the pip section as it was.
        wheels: what was found of it.

    """
    name = given.target[1] if given.target[:1] == ("-n",) else "torch"
    channels = [*given.searched, *(["nodefaults"] if given.override else [])]
    specs = list(given.specs)
    if pip is not None and not any(re.match(r"pip(?![\w-])", spec) for spec in specs):
        specs.append("pip")
    lines = [f"name: {_scalar(name)}", "channels:", *(f"  - {_scalar(each)}" for each in channels)]
    lines += ["dependencies:", *(f"  - {_scalar(each)}" for each in specs)]
    if pip is not None:
        lines += ["  - pip:", *(f"      - {line}" for line in _section(pip, wheels))]
    return "\n".join(lines) + "\n"


def conda_names(requirements: Sequence[str]) -> tuple[str, ...]:
    """Return what channels call requirements of torch's own projects, with their releases."""
    found = []
    for text in requirements:
        match = re.match(r"(?P<name>[\w-]+)(?:\[[^\]]*\])?\s*(?P<version>==\s*[\d.]+)?", text)
        if match is not None and match["name"].lower() in facts().torch_projects:
            name = match["name"].lower()
            version = (match["version"] or "").replace(" ", "")
            found.append(facts().renames.get(name, name) + version)
    return tuple(dict.fromkeys(found))


def _section(pip: PipRequest, wheels: Sequence[Wheel]) -> Iterator[str]:
    mended = plainly(pip)
    if mended.index:
        yield _scalar(f"--index-url {mended.index}")
    for url in mended.extra:
        yield _scalar(f"--extra-index-url {url}")
    found = {wheel.requirement: wheel for wheel in wheels}
    for old, new in zip(pip.requirements, mended.requirements, strict=True):
        wheel = found.get(old)
        note = f"  # {wheel.detail}" if wheel is not None and wheel.state != "works" else ""
        yield f"{_scalar(new)}{note}"
    for name in pip.unread:
        yield f"{_scalar(name)}  # not looked at"


def _scalar(text: str) -> str:
    return json.dumps(text) if _SPECIAL.search(text) else text
