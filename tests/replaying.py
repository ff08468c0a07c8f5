"""Runs rendered workflows as GitHub would: job by job, in clean clones, by GitHub's rules.

Nothing of the commands is changed. What actions do (checkout, artifacts, caches, the pull request,
merging) is done in replayed_actions.py with git and folders; package installs are passed over. The
rules are those of runner_rules.yaml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from generator.feedstock import read_feedstock
from generator.rendering import workflow_files
from tests.replayed_actions import git
from tests.replayed_expressions import filled, holds, words
from tests.replayed_jobs import Done, Jobs, Run

ROOT = Path(__file__).parents[1]


@dataclass
class Replay(Jobs):
    """A repository whose events start runs."""

    #: display name of a job after which somebody cancels the run
    cancel_after: str = ""
    _cancelled: bool = False
    _last: tuple[Run, dict[str, Done]] | None = None
    #: jobs of the run that is done again, which are kept
    _kept: Mapping[str, Done] = field(default_factory=dict)
    #: display name of a job -> does it again
    _again: dict[str, Callable[[], Done]] = field(default_factory=dict)

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
        self.adopt(first)

    def adopt(self, folder: Path) -> None:
        """Make a folder the repository, as who pushes it for the first time."""
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "Start")
        git(self.folder, "clone", "-q", "--bare", str(folder), str(self.origin))
        # as GitHub, whose checkout fetches the commit that it is told
        git(self.origin, "config", "uploadpack.allowAnySHA1InWant", "true")

    def declare(self, feedstock: str) -> None:
        """Do what a person does who wants something else: write it, render, push."""
        with self._pushing("Ask for something else") as clone:
            _declare(clone, feedstock)

    def change(self, path: str, old: str, new: str, *, render: bool = True) -> None:
        """Do what a person does who changes armtorch: edit it, render with new numbers, push."""
        with self._pushing(f"Change {path}") as clone:
            text = (clone / path).read_text()
            assert old in text, f"{path} has no {old!r}"
            (clone / path).write_text(text.replace(old, new))
            if render:
                subprocess.run(
                    [sys.executable, "-m", "generator", "render", "--renumber"],
                    cwd=clone,
                    env={**os.environ, **self.environment, "PYTHONPATH": str(clone)},
                    capture_output=True,
                    check=True,
                )

    @contextmanager
    def _pushing(self, message: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            clone = Path(folder) / "clone"
            git(self.folder, "clone", "-q", str(self.origin), str(clone))
            yield clone
            git(clone, "add", "-A")
            git(clone, "commit", "-qm", message)
            git(clone, "push", "-q", "origin", "main")
        self.hub.happen("push", "main")

    def merge(self) -> None:
        """Do what a person does who merges the release's pull request."""
        git(self.origin, "update-ref", "refs/heads/main", "armtorch-release")
        self.hub.happen("push", "main")

    def started(self) -> list[tuple[str, str]]:
        """Say which workflows the events since the last call start, and by what."""
        names = [
            Path(name).stem
            for name in git(
                self.origin, "ls-tree", "--name-only", "main", ".github/workflows/"
            ).splitlines()
        ]
        found = []
        for event in self.hub.events:
            if event.workflow:
                found.append((event.workflow, event.kind))
            for name in names if not event.by_token else ():
                on = self.workflow(name)["on"]
                branches = (on.get(event.kind) or {}).get("branches", [event.branch])
                if event.kind in on and event.branch in branches:
                    found.append((name, event.kind))
        self.hub.events.clear()
        return found

    def run(
        self,
        workflow: str,
        event: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        fork: str = "",
        prefix: str = "",
    ) -> dict[str, Done]:
        """Do a whole run that an event starts; ``fork`` is the branch of a stranger's request."""
        self.actions.artifacts.start_run()
        self._cancelled = False
        head = git(self.origin, "rev-parse", fork or "main")
        values = {
            "github.event_name": event,
            "github.ref": "refs/pull/1/merge" if event == "pull_request" else "refs/heads/main",
            "github.sha": head,
            "fork": fork,
            **{f"inputs.{name}": value for name, value in (inputs or {}).items()},
        }
        run = Run(workflow, values, prefix=prefix)
        self._last = run, self._do(run)
        return self._last[1]

    def with_started(self, done: dict[str, Done]) -> dict[str, Done]:
        """Do the runs that a run asked for, too, their jobs named after the workflow."""
        asked = [event for event in self.hub.events if event.workflow]
        self.hub.events = [event for event in self.hub.events if not event.workflow]
        for event in asked:
            known = self.workflow(event.workflow)["on"][event.kind]["inputs"]
            assert event.inputs.keys() <= known.keys(), "GitHub refuses an input that is not known"
            own = {key: row.get("default") for key, row in known.items()} | dict(event.inputs)
            prefix = f"{event.workflow} / "
            done = done | self.run(event.workflow, event.kind, inputs=own, prefix=prefix)
        return done

    def rerun_failed(self) -> dict[str, Done]:
        """Do again what failed in the last run and what needs that, as a person asks GitHub to."""
        assert self._last is not None
        run, done = self._last
        self.actions.artifacts.start_attempt()
        self._kept = {name: each for name, each in done.items() if each.ok}
        self._cancelled, self.cancel_after = False, ""
        self._last = run, self._do(Run(run.workflow, run.values, prefix=run.prefix))
        self._kept = {}
        return self._last[1]

    def _do(self, run: Run) -> dict[str, Done]:
        found: dict[str, Done] = {}
        text = self.workflow(run.workflow)
        for name, job in _in_order(text["jobs"]):
            values, functions = self._contexts(run, text, name)
            if not holds(job.get("if"), values, functions):
                run.results[name] = "cancelled" if self._cancelled else "skipped"
                continue
            if "uses" in job:
                called = self._called(run, name, job, values, functions)
                own = self._do(called)
                run.fresh |= {name} if called.fresh else set()
                found |= own
                ended = set(called.results.values())
            else:
                own = self._rows(run, name, job, values, functions)
                found |= own
                ended = {"success" if each.ok else "failure" for each in own.values()}
                run.outputs[name] = next(iter(own.values())).given if own else {}
            worst = [each for each in ("failure", "cancelled") if each in ended]
            run.results[name] = worst[0] if worst else "success"
        return found

    def _rows(
        self, run: Run, name: str, job: Any, values: Mapping[str, Any], functions: Any
    ) -> dict[str, Done]:
        """Do a job, once for every row of its matrix; what is kept is as it was."""
        matrix = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
        found = {}
        for row in filled(matrix, values, functions):
            own = {**values, **{f"matrix.{key}": value for key, value in row.items()}}
            shown = run.prefix + words(filled(job.get("name", name), own, functions))
            needs = set(_listed(job.get("needs")))
            if shown in self._kept and not needs & run.fresh:
                found[shown] = self._kept[shown]
                continue
            run.fresh.add(name)
            self._again[shown] = partial(self.one, run, name, own, shown)
            found[shown] = self._again[shown]()
            self._cancelled |= shown == self.cancel_after
        return found

    def again(self, name: str) -> Done:
        """Do one job of the last run again, as a person asks GitHub to."""
        self.actions.artifacts.start_attempt()
        return self._again[name]()

    def _called(
        self, run: Run, name: str, job: Any, values: Mapping[str, Any], functions: Any
    ) -> Run:
        """Return the part of a run that another workflow is."""
        workflow = Path(job["uses"]).stem
        asked = self.workflow(workflow)["on"]["workflow_call"]["inputs"]
        given = {key: filled(value, values, functions) for key, value in job["with"].items()}
        inputs = {key: given.get(key, row.get("default")) for key, row in asked.items()}
        assert given.keys() <= asked.keys(), "GitHub refuses an input that is not asked for"
        own = {key: value for key, value in run.values.items() if not key.startswith("inputs.")}
        own |= {f"inputs.{key}": value for key, value in inputs.items()}
        return Run(workflow, own, may=job["permissions"], prefix=f"{run.prefix}{name} / ")

    def _contexts(self, run: Run, text: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a job's own lines can read, and the functions they can call."""
        needs = _listed(text["jobs"][name].get("needs"))
        before = _ancestors(text["jobs"], name)
        values = {
            **run.values,
            **{f"vars.{key}": value for key, value in self.variables.items()},
            **{f"needs.{each}.result": run.results[each] for each in needs},
            "needs.*.result": [run.results[each] for each in needs],
            **{
                f"needs.{each}.outputs.{key}": value
                for each in needs
                for key, value in run.outputs.get(each, {}).items()
            },
        }
        results = [run.results[each] for each in before]
        functions = {
            "always": lambda: True,
            "cancelled": lambda: self._cancelled,
            "success": lambda: not self._cancelled and all(r == "success" for r in results),
            "failure": lambda: not self._cancelled and "failure" in results,
            "fromJSON": YAML(typ="safe", pure=True).load,
        }
        return values, functions

    def job(self, workflow: str, name: str, **context: Any) -> Done:
        """Do one job alone; ``context`` has the values of expressions."""
        values = {"github.event_name": "schedule", "github.ref": "refs/heads/main"}
        values |= {key.replace("__", "."): value for key, value in context.items()}
        values |= {f"vars.{key}": value for key, value in self.variables.items()}
        self.actions.artifacts.start_attempt()
        return self.one(Run(workflow, {}), name, values, name)

    def build(self, *, train: str = "") -> dict[str, Done]:
        """Do a run of build.yml that somebody starts by hand."""
        return self.run("build", "workflow_dispatch", inputs={"train": train})

    def update(self) -> dict[str, Done]:
        """Do a run of update.yml that its schedule starts, and the build that it asks for."""
        return self.with_started(self.run("update", "schedule"))

    def nightly(self) -> dict[str, Done]:
        """Do a run of nightly.yml that its schedule starts, and the build that it asks for."""
        return self.with_started(self.run("nightly", "schedule"))


def _declare(folder: Path, feedstock: str) -> None:
    """Write a feedstock and what is rendered from it alone."""
    path = folder / "feedstock.yaml"
    path.write_text(feedstock, encoding="utf-8")
    for name, content in workflow_files(read_feedstock(path)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _listed(needs: Any) -> list[str]:
    return [needs] if isinstance(needs, str) else list(needs or ())


def _ancestors(jobs: Mapping[str, Any], name: str) -> set[str]:
    """Return all jobs before one, however far."""
    near = set(_listed(jobs[name].get("needs")))
    return near.union(*(_ancestors(jobs, each) for each in near))


def _in_order(jobs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(jobs.items(), key=lambda row: len(_ancestors(jobs, row[0])))
