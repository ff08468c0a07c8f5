"""Holds rendered workflows against our own rules; zizmor and the schema judge them in the tests.

The rules: https://docs.github.com/actions/security-for-github-actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from generator.errors import RenderError
from generator.rendering.workflows import FOLDER, action_pins

_NEXT: Final = "this is a defect of templates/workflows; mend it there"
_CRON: Final = re.compile(r"([\d*/,-]+ ){4}[\d*/,-]+")
#: what `armtorch compile` needs of an Ubuntu
_SETTING_UP: Final = (
    "sudo apt-get install --yes debian-archive-keyring",
    "sudo sysctl --write kernel.apparmor_restrict_unprivileged_userns=0",
)
#: the only commands that a `run:` may start
_COMMANDS: Final = ("armtorch ", "python -m pip install ", "make test", "test ", *_SETTING_UP)
#: one command: nothing that a shell would make more of it
_SHELL: Final = re.compile(r"[;&|<>`\n]|\$\(")


def check_workflow(path: str, content: bytes) -> None:
    """Check a rendered workflow.

    Every ``run:`` is one of a few commands, takes values from ``env:`` only, and
    every action is pinned to the commit of data/action_pins.yaml. A workflow starts with no
    permissions, each job says its own, and each has a time limit or calls another workflow.

    Raises:
        RenderError: one of this is not so; the message names the job.

    """
    try:
        found = YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except YAMLError as error:
        raise RenderError(f"does not parse: {error}", where=path, next_step=_NEXT) from error
    for finding in _findings(found):
        raise RenderError(finding, where=path, next_step=_NEXT)


def _findings(workflow: Mapping[str, Any]) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "does not begin without permissions"
    if not any("concurrency" in each for each in (workflow, *workflow["jobs"].values())):
        yield "has no concurrency group"
    yield from (
        f"has no cron expression: {row['cron']}"
        for row in workflow["on"].get("schedule", ())
        if not _CRON.fullmatch(row["cron"])
    )
    pinned = {pin.of() for pin in action_pins().actions}
    for name, job in workflow["jobs"].items():
        if "permissions" not in job:
            yield f"{name}: does not say its permissions"
        if "uses" in job:
            if not job["uses"].startswith(f"$/{FOLDER}/"):
                yield f"{name}: calls a workflow of another repository"
            continue
        if "timeout-minutes" not in job:
            yield f"{name}: has no time limit"
        for step in job["steps"]:
            if "uses" in step and _repository(step["uses"]) not in pinned:
                yield f"{name}: {step['uses']} is not pinned in action_pins.yaml"
            if "run" in step:
                yield from (f"{name}: {text}" for text in _command(step["run"]))


def _repository(uses: str) -> str:
    """Return the repository and commit of an action, which may lie in a folder of it."""
    name, _, commit = uses.partition("@")
    return f"{'/'.join(name.split('/')[:2])}@{commit}"


def _command(run: str) -> Iterator[str]:
    if not run.startswith(_COMMANDS):
        yield f"runs something else than armtorch: {run}"
    if "${{" in run:
        yield f"puts a value into a command; it goes through env: {run}"
    if _SHELL.search(run.strip()):
        yield f"is more than one command: {run}"
