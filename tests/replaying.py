"""Runs the `run:` commands of rendered workflows as GitHub would: job by job, in clean clones.

Nothing of the commands is changed. What actions do (checkout, artifacts, the pull request, merging)
is done in replayed_actions.py with git and folders; package installs are passed over.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from generator.feedstock import read_feedstock
from generator.rendering import workflow_files
from tests.replayed_actions import Actions, git
from tests.replayed_hub import Hub

ROOT = Path(__file__).parents[1]
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_SAMPLE = "inputs.sample || github.event_name == 'pull_request'"


@dataclass(frozen=True)
class Done:
    """How a job ended."""

    ok: bool
    #: step id -> outputs
    outputs: Mapping[str, Mapping[str, str]]
    said: str


@dataclass
class Replay:
    """A repository, and a folder as the channel it publishes to."""

    folder: Path
    environment: dict[str, str]
    #: every command as it stands in its workflow, in order
    ran: list[str] = field(default_factory=list)
    _jobs: int = 0
    #: name of a job of the matrix -> does it again
    _again: dict[str, Callable[[], Done]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep what jobs hand on in the same folder."""
        self.hub = Hub(self.origin)
        self.actions = Actions(self.folder, self.hub.propose)

    @property
    def origin(self) -> Path:
        """The bare repository."""
        return self.folder / "origin.git"

    @property
    def channel(self) -> Path:
        """Where publish puts packages."""
        return self.folder / "published"

    def start(self, feedstock: str) -> None:
        """Make the repository of armtorch and one feedstock, without a lock."""
        first = self.folder / "first"
        for name in ("generator", "templates"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, first / name, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, first)
        _declare(first, feedstock)
        (first / ".gitignore").write_text("__pycache__/\n/channel\n/wheelhouse\n/.armtorch/\n")
        git(first, "init", "-q", "-b", "main")
        git(first, "add", "-A")
        git(first, "commit", "-qm", "Start")
        git(self.folder, "clone", "-q", "--bare", str(first), str(self.origin))

    def declare(self, feedstock: str) -> None:
        """Do what a person does who wants something else: write it, render, push."""
        clone = self.folder / "declaring"
        git(self.folder, "clone", "-q", str(self.origin), str(clone))
        _declare(clone, feedstock)
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "Ask for something else")
        git(clone, "push", "-q", "origin", "main")

    def change(self, path: str, old: str, new: str) -> None:
        """Do what a person does who changes armtorch: edit it, render with new numbers, push."""
        clone = self.folder / "changing"
        git(self.folder, "clone", "-q", str(self.origin), str(clone))
        text = (clone / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (clone / path).write_text(text.replace(old, new))
        subprocess.run(
            [sys.executable, "-m", "generator", "render", "--renumber"],
            cwd=clone,
            env={**os.environ, **self.environment, "PYTHONPATH": str(clone)},
            capture_output=True,
            check=True,
        )
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", f"Change {path}")
        git(clone, "push", "-q", "origin", "main")

    def workflow(self, name: str) -> Any:
        """Read a workflow of main, whose the workflows of a schedule are."""
        text = git(self.origin, "show", f"main:.github/workflows/{name}.yml")
        return YAML(typ="safe", pure=True).load(text)

    def job(self, workflow: str, name: str, **context: str) -> Done:
        """Do one job in a clone of its own; ``context`` has the values of expressions."""
        self._jobs += 1
        clone = self.folder / f"job-{self._jobs}"
        values = {
            "vars.ARMTORCH_DESTINATION": str(self.channel),
            "inputs.train": "",
            "inputs.ref": "",
            "inputs.cells": "",
            "github.server_url": "https://github.com",
            "github.repository": "me/armtorch",
            "github.event_name": "schedule",
            "github.token": "token",
            "github.run_id": "1",
            **context,
        }
        values = {key.replace("__", "."): value for key, value in values.items()}
        job = self.workflow(workflow)["jobs"][name]
        steps, self.hub.permissions = job["steps"], job["permissions"]
        with self.hub.served() as url:
            self.environment["GITHUB_API_URL"] = url
            return self._steps(steps, clone, values)

    def _steps(self, steps: list[Any], clone: Path, values: Mapping[str, str]) -> Done:
        git(self.folder, "clone", "-q", str(self.origin), str(clone))
        ref = _filled(steps[0]["with"].get("ref", ""), values, {})
        git(clone, "checkout", "-q", ref or "main")
        outputs: dict[str, dict[str, str]] = {}
        said = ""
        for step in steps:
            if not _wanted(str(step.get("if", "")), clone, values, outputs):
                continue
            found: dict[str, str] = {}
            if "uses" in step:
                with_ = {k: _filled(str(v), values, outputs) for k, v in step["with"].items()}
                found = self.actions.run(step["uses"].partition("@")[0], with_, clone)
            else:
                done, found = self._run(step, clone, values, outputs)
                said += f"$ {step['run']}\n{done.stdout}{done.stderr}"
                if done.returncode:
                    self._after_failure(steps, clone, values, outputs)
                    return Done(False, outputs, said + f"exit code {done.returncode}\n")
            if "id" in step:
                outputs[step["id"]] = found
        return Done(True, outputs, said)

    def _after_failure(
        self,
        steps: list[Mapping[str, Any]],
        clone: Path,
        values: Mapping[str, str],
        outputs: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Do the steps that a job has for when another one failed."""
        for step in steps:
            if "failure()" in str(step.get("if", "")):
                with_ = {k: _filled(str(v), values, outputs) for k, v in step["with"].items()}
                self.actions.run(step["uses"].partition("@")[0], with_, clone)

    def _run(
        self,
        step: Mapping[str, Any],
        clone: Path,
        values: Mapping[str, str],
        outputs: Mapping[str, Mapping[str, str]],
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        temporary = clone.with_suffix(".temp")
        temporary.mkdir(exist_ok=True)
        output, summary = temporary / "output", temporary / "summary"
        output.write_text("")
        own = {key: _filled(str(v), values, outputs) for key, v in step.get("env", {}).items()}
        environment = {
            **self.environment,
            **own,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "RUNNER_TEMP": str(temporary),
            "PYTHONPATH": str(clone),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = step["run"]
        self.ran.append(command)
        if command.startswith("python -m pip install "):
            command = "true"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, _outputs(output.read_text())

    def summary(self) -> str:
        """Return what the last job wrote for a person."""
        path = self.folder / f"job-{self._jobs}.temp" / "summary"
        return path.read_text() if path.exists() else ""

    def start_run(self) -> None:
        """Begin as GitHub does: a run has artifacts of its own."""
        self.actions.start_run()

    def build(self, *, train: str = "") -> dict[str, Done]:
        """Do a run of build.yml."""
        self.start_run()
        done = self.called(train=train)
        if done["plan"].ok:
            done["publish"] = self.job("build", "publish", **{"inputs.train": train})
        return done

    def called(
        self, *, ref: str = "", sample: bool = False, train: str = "", cells: str = ""
    ) -> dict[str, Done]:
        """Do the jobs that build.yml has also where another workflow calls it, in their order.

        A job that fails does not stop the others.
        """
        values = {
            "inputs.ref": ref,
            "inputs.train": train,
            "inputs.cells": cells,
            _SAMPLE: str(sample).lower(),
        }
        done = {"plan": self.job("build", "plan", **values)}
        if not done["plan"].ok:
            return done
        for name in ("shared", "variants"):
            for row in json.loads(done["plan"].outputs["plan"][name]):
                matrix = {f"matrix.{key}": value for key, value in row.items()}
                doing = partial(self.job, "build", name, **values, **matrix)
                self._again[row["name"]] = doing
                done[row["name"]] = doing()
        return done

    def again(self, name: str) -> Done:
        """Do a job of this run again, as a person asks GitHub to."""
        self.actions.again = True
        done = self._again[name]()
        self.actions.again = False
        return done

    def update(self) -> dict[str, Done]:
        """Do the jobs of update.yml in their order, as far as their conditions let them."""
        self.start_run()
        done = {"look": self.job("update", "look")}
        if not done["look"].ok or done["look"].outputs["look"]["changed"] != "true":
            return done
        done["release"] = self.job("update", "release")
        if not done["release"].ok or done["release"].outputs["release"]["changed"] != "true":
            return done
        said, request = (done["release"].outputs[step] for step in ("release", "request"))
        commit = request["pull-request-head-sha"]
        tried = self.called(ref=commit, sample=True)
        done |= {f"try {name}": each for name, each in tried.items()}
        needs = {"needs.release.outputs.commit": commit, "needs.release.outputs.made": said["made"]}
        done["hold"] = self.job("update", "hold", **needs)
        if not done["hold"].ok or said["attention"] != "false":
            return done
        held = done["hold"].outputs
        if held["hold"]["changed"] != "true":
            return done
        needs["needs.hold.outputs.commit"] = held.get("request", {}).get(
            "pull-request-head-sha", ""
        )
        needs["needs.release.outputs.number"] = request["pull-request-number"]
        done["merge"] = self.job("update", "merge", **needs)
        if done["merge"].ok:
            merged = done["merge"].outputs["merge"]["commit"]
            done |= self.called(ref=merged)
            context = {"needs.merge.outputs.commit": merged}
            done["publish"] = self.job("update", "publish", **context)
        return done

    def nightly(self) -> dict[str, Done]:
        """Do the jobs of nightly.yml but for retiring."""
        self.start_run()
        done = {"missing": self.job("nightly", "missing")}
        cells = done["missing"].outputs["missing"]["cells"] if done["missing"].ok else ""
        if cells:
            head = git(self.origin, "rev-parse", "main")
            done |= self.called(ref=head, cells=cells)
            context = {"github.sha": head, "needs.missing.outputs.cells": cells}
            done["publish"] = self.job("nightly", "publish", **context)
        return done


def _declare(folder: Path, feedstock: str) -> None:
    """Write a feedstock and what is rendered from it alone."""
    path = folder / "feedstock.yaml"
    path.write_text(feedstock, encoding="utf-8")
    for name, content in workflow_files(read_feedstock(path)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _filled(text: str, values: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> str:
    return _EXPRESSION.sub(lambda match: _value(match[1], values, outputs), text)


def _value(text: str, values: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> str:
    """Evaluate an expression, as far as the workflows use them."""
    if text in values:
        return values[text]
    if "||" in text:
        parts = (_value(part.strip(), values, outputs) for part in text.split("||"))
        return next(filter(None, parts), "")
    if " == " in text:
        left, right = (_value(part.strip(), values, outputs) for part in text.split(" == "))
        return str(left == right).lower()
    if text.startswith("'"):
        return text[1:-1]
    if text.startswith("steps."):
        _, step, _, key = text.split(".")
        return outputs.get(step, {}).get(key, "")
    # the runner's folder is in the environment; what nobody has set is empty
    assert text.startswith(("secrets.", "vars.", "env.", "hashFiles(", "runner.temp")), text
    return ""


def _wanted(
    condition: str,
    clone: Path,
    values: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, str]],
) -> bool:
    parts = condition.removeprefix("${{").removesuffix("}}").split("&&")
    return all(_holds(part.strip(), clone, values, outputs) for part in parts if condition)


def _holds(
    condition: str,
    clone: Path,
    values: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, str]],
) -> bool:
    if "failure()" in condition:
        return False
    if match := re.fullmatch(r"hashFiles\('(.*?)'\) != ''", condition):
        return any(clone.glob(match[1]))
    match = re.fullmatch(r"([\w.-]+) (==|!=) '(\w*)'", condition)
    assert match is not None, condition
    return (_value(match[1], values, outputs) == match[3]) == (match[2] == "==")


def _outputs(text: str) -> dict[str, str]:
    return {
        match[1]: match[3]
        for match in re.finditer(r"^(\w+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
    }
