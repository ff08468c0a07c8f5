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
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML

from generator.feedstock import read_feedstock
from generator.rendering import workflow_files
from tests.replayed_actions import Actions, git

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


class Merger(ThreadingHTTPServer):
    """The one call of GitHub's API that update.yml makes; it moves main of a bare repository."""

    daemon_threads = True

    def __init__(self, origin: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Merge)
        self.origin = origin
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Merge(BaseHTTPRequestHandler):
    server: Merger

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_PUT(self) -> None:
        self.server.asked.append(self.path)
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["sha"]
        head = git(self.server.origin, "rev-parse", "armtorch-release")
        if wanted == head:
            git(self.server.origin, "update-ref", "refs/heads/main", head)
        body = json.dumps({"sha": head, "message": "Head branch was modified"}).encode()
        self.send_response(200 if wanted == head else 409)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass
class Replay:
    """A repository, and a folder as the channel it publishes to."""

    folder: Path
    environment: dict[str, str]
    #: every command as it stands in its workflow, in order
    ran: list[str] = field(default_factory=list)
    _jobs: int = 0

    def __post_init__(self) -> None:
        """Keep what jobs hand on in the same folder."""
        self.actions = Actions(self.folder)

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
        return YAML(typ="safe").load(text)

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
            **context,
        }
        values = {key.replace("__", "."): value for key, value in values.items()}
        steps = self.workflow(workflow)["jobs"][name]["steps"]
        git(self.folder, "clone", "-q", str(self.origin), str(clone))
        ref = _filled(steps[0]["with"].get("ref", ""), values, {})
        git(clone, "checkout", "-q", ref or "main")
        outputs: dict[str, dict[str, str]] = {}
        said = ""
        for step in steps:
            if not _wanted(str(step.get("if", "")), clone, outputs):
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
                done[row["name"]] = self.job("build", name, **values, **matrix)
        return done

    def update(self) -> dict[str, Done]:
        """Do the jobs of update.yml in their order, as far as their conditions let them."""
        self.start_run()
        done = {"release": self.job("update", "release")}
        if not done["release"].ok:
            return done
        said = done["release"].outputs["release"]
        if said["changed"] != "true":
            return done
        request = done["release"].outputs["request"]
        commit = request["pull-request-head-sha"]
        tried = self.called(ref=commit, sample=True)
        done |= {f"try {name}": each for name, each in tried.items()}
        done["hold"] = self.job("update", "hold", **{"needs.release.outputs.commit": commit})
        if not done["hold"].ok or said["attention"] != "false":
            return done
        held = done["hold"].outputs
        if held["hold"]["changed"] != "true":
            return done
        commit = held.get("request", {}).get("pull-request-head-sha", commit)
        outputs = {
            "needs.release.outputs.number": request["pull-request-number"],
            "needs.hold.outputs.commit || needs.release.outputs.commit": commit,
            "github.token": "token",
        }
        with Merger(self.origin) as server:
            self.environment["GITHUB_API_URL"] = f"http://127.0.0.1:{server.server_address[1]}"
            done["merge"] = self.job("update", "merge", **outputs)
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
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("secrets."):
            return ""
        if name.startswith("steps."):
            _, step, _, key = name.split(".")
            return outputs[step][key]
        if name == "runner.temp":
            return ""
        return values[name] if not name.startswith("github.run_id") else "1"

    return _EXPRESSION.sub(value, text)


def _wanted(condition: str, clone: Path, outputs: Mapping[str, Mapping[str, str]]) -> bool:
    if not condition:
        return True
    if "failure()" in condition:
        return False
    if match := re.search(r"hashFiles\('(.*?)'\) != ''", condition):
        return any(clone.glob(match[1]))
    match = re.search(r"steps\.(\w+)\.outputs\.([\w-]+) (==|!=) '(\w+)'", condition)
    assert match is not None, condition
    return (outputs[match[1]].get(match[2], "") == match[4]) == (match[3] == "==")


def _outputs(text: str) -> dict[str, str]:
    return {
        match[1]: match[3]
        for match in re.finditer(r"^(\w+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
    }
