"""One job of a rendered workflow on a machine of its own, by GitHub's rules (runner_rules.yaml)."""

from __future__ import annotations

import hashlib
import math
import os
import re
import resource
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests import replayed_runner
from tests.replayed_actions import Actions, Desk, RefusedError, git
from tests.replayed_expressions import filled, holds, words
from tests.replayed_hub import Hub
from tests.replayed_rules import rule
from tests.replayed_storage import size

_TOKEN = "token"  # noqa: S105 - of no server
#: how a job asks GitHub to vouch for it; nobody answers here
_IDENTITY = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:9/",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": _TOKEN,
}


@dataclass(frozen=True)
class Done:
    """How a job ended."""

    ok: bool
    #: step id -> outputs
    outputs: Mapping[str, Mapping[str, str]]
    said: str
    #: outputs of the job
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """One run of a workflow, or the part of one that another workflow called."""

    workflow: str
    #: contexts that every job has
    values: Mapping[str, Any]
    #: what a caller's job may; None where it was not called
    may: Mapping[str, str] | None = None
    #: before the names of jobs
    prefix: str = ""
    #: id of a job -> success, failure, skipped or cancelled
    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    #: ids of jobs that this attempt did
    fresh: set[str] = field(default_factory=set)


@dataclass
class Jobs:
    """A repository, a folder as the channel it publishes to, and what its jobs did."""

    folder: Path
    environment: dict[str, str]
    #: folders with programs that the image has beside its own
    programs: tuple[Path, ...] = ()
    #: every command as it stands in its workflow, in order
    ran: list[str] = field(default_factory=list)
    #: environment -> its secrets; "" for the repository's own
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    #: display name of a job -> secrets that it could read
    saw: dict[str, set[str]] = field(default_factory=dict)
    #: seconds of every job's processor: the clock's say how busy this machine is
    spent: list[float] = field(default_factory=list)
    #: what every job printed, and wrote into its summary
    said: list[str] = field(default_factory=list)
    _jobs: int = 0

    def __post_init__(self) -> None:
        """Keep what jobs hand on in the same folder."""
        self.hub = Hub(self.origin)
        self.actions = Actions(self.folder, self.hub.propose, self.hub.may)
        self.variables.setdefault("ARMTORCH_DESTINATION", str(self.channel))
        self._there = self._packages()

    @property
    def origin(self) -> Path:
        """The bare repository."""
        return self.folder / "origin.git"

    @property
    def channel(self) -> Path:
        """Where publish puts packages."""
        return self.folder / "published"

    def workflow(self, name: str) -> Any:
        """Read a workflow of main, whose the workflows of a schedule are."""
        text = git(self.origin, "show", f"main:.github/workflows/{name}.yml")
        return YAML(typ="safe", pure=True).load(text)

    def one(self, run: Run, name: str, context: Mapping[str, Any], shown: str) -> Done:
        """Do one job of a run with the rights and secrets that it has there."""
        text = self.workflow(run.workflow)
        job = text["jobs"][name]
        asked = job.get("permissions", text["permissions"])
        for key, level in asked.items() if run.may is not None else ():
            # GitHub does not start a run that calls a workflow with jobs that ask for more
            assert (run.may or {}).get(key) in {level, "write"}, f"{shown} asks for {key}: {level}"
        fork = bool(context.get("fork"))
        self.hub.permissions = (
            {key: "read" for key in asked if key != "id-token"} if fork else asked
        )
        hidden = fork or run.may is not None
        kinds = [] if hidden else ["", job.get("environment", "")]
        secrets = {
            key: value for kind in kinds for key, value in self.secrets.get(kind, {}).items()
        }
        self.saw[shown] = set(secrets)
        values = {
            "github.repository": self.hub.repository,
            "github.server_url": "https://github.com",
            "github.token": _TOKEN,
            "github.run_id": "1",
            **context,
            **{f"secrets.{key}": value for key, value in secrets.items()},
        }
        before = _processor()
        with self.hub.served() as url:
            done = self._steps(job, values, url)
        self.spent.append(_processor() - before)
        self.said += [done.said, self.summary()]
        return done

    def _steps(self, job: Any, values: Mapping[str, Any], hub: str) -> Done:
        self._jobs += 1
        desk = self._desk(values)
        values = {**values, "runner.temp": str(desk.temporary)}
        outputs: dict[str, dict[str, str]] = {}
        said, failed = "", False
        ends: list[Callable[[], None]] = []
        for step in job["steps"]:
            own = {
                **values,
                **{f"steps.{i}.outputs.{k}": v for i, o in outputs.items() for k, v in o.items()},
            }
            functions = _of_a_step(desk.clone, failed=failed)
            if not holds(step.get("if"), own, functions):
                continue
            with_ = {
                key: words(filled(value, own, functions))
                for key, value in (step.get("with") or {}).items()
            }
            found: dict[str, str] = {}
            if "uses" not in step:
                env = {
                    key: words(filled(value, own, functions))
                    for key, value in step.get("env", {}).items()
                }
                ended, found = self._run(step["run"], env, desk, hub)
                said += f"$ {step['run']}\n{ended.stdout}{ended.stderr}"
                if ended.returncode:
                    failed = True
                    said += f"exit code {ended.returncode}\n"
            elif (action := step["uses"].partition("@")[0]) == "actions/checkout":
                self._check_out(with_, values, desk)
            else:
                try:
                    found = self.actions.run(action, with_, desk)
                except RefusedError as error:
                    failed, said = True, f"{said}{error}\n"
                hit = found.get("cache-hit") == "true"
                ends.append(partial(self.actions.end, action, with_, desk, hit=hit))
            if "id" in step:
                outputs[step["id"]] = found
        for end in ends if not failed else ():
            end()
        steps = {f"steps.{i}.outputs.{k}": v for i, o in outputs.items() for k, v in o.items()}
        given = {
            key: words(filled(value, {**values, **steps}, {}))
            for key, value in job.get("outputs", {}).items()
        }
        assert sum(map(len, given.values())) <= rule("output_bytes"), "outputs are too large"
        return Done(not failed, outputs, said, given)

    def _desk(self, values: Mapping[str, Any]) -> Desk:
        """Set up a machine that nobody has used."""
        place = self.folder / f"job-{self._jobs}"
        desk = Desk(
            clone=place,
            home=place.with_suffix(".home"),
            temporary=place.with_suffix(".temp"),
            scopes=tuple(dict.fromkeys((str(values.get("github.ref")), "refs/heads/main"))),
        )
        for folder in (desk.clone, desk.home, desk.temporary):
            folder.mkdir()
        return desk

    def _check_out(self, given: Mapping[str, str], values: Mapping[str, Any], desk: Desk) -> None:
        assert self.hub.may("contents", "read"), "the job checks out, and its token may not"
        ref = given.get("ref") or values.get("fork") or values.get("github.sha") or "main"
        folder = desk.clone / given.get("path", "")
        depth = [] if given.get("fetch-depth") == "0" else ["--depth=1"]
        git(desk.clone, "init", "-q", str(folder))
        git(folder, "remote", "add", "origin", self.origin.as_uri())
        git(folder, "fetch", "-q", *depth, "origin", ref)
        own = ["-B", "main"] if ref == "main" else ["--detach"]
        git(folder, "checkout", "-q", *own, "FETCH_HEAD")
        git(folder, "fetch", "-q", *depth, "origin", "main:refs/remotes/origin/main")

    def _run(
        self, command: str, env: Mapping[str, str], desk: Desk, hub: str
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
        output, summary = desk.temporary / "output", desk.temporary / "summary"
        output.write_text("")
        self.channel.mkdir(exist_ok=True)
        self.ran.append(command)
        own = replayed_runner.variables(desk)
        environment = {
            **own,
            "PATH": os.pathsep.join((own["PATH"], *map(str, self.programs))),
            **self.environment,
            **env,
            "GITHUB_API_URL": hub,
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        if self.hub.may("id-token"):
            environment |= _IDENTITY
        command = "true" if command.startswith("python -m pip install ") else command
        done = replayed_runner.run(command, desk, environment)
        return done, read_outputs(output.read_text())

    def summary(self) -> str:
        """Return what the last job wrote for a person."""
        path = self.folder / f"job-{self._jobs}.temp" / "summary"
        return path.read_text() if path.exists() else ""

    def _packages(self) -> set[str]:
        return {path.relative_to(self.channel).as_posix() for path in self.channel.rglob("*.conda")}

    def figures(self, said: str, *, published: int | None = None) -> dict[str, Any]:
        """Return what the replay came to, with a part of what was said.

        GitHub counts every job's minutes as begun ones. ``published`` is for what lies elsewhere.
        """
        pulls = [row["body"] for row in self.hub.pulls]
        assert any(said in text for text in (*self.said, *pulls)), f"nobody said: {said}"
        new = len(self._packages() - self._there)
        return {
            "published": new if published is None else published,
            "said": said,
            "jobs": len(self.spent),
            "minutes": sum(math.ceil(each / 60) for each in self.spent),
            "artifacts": self.actions.artifacts.given,
            "caches": sum(map(size, self.actions.caches.all)),
            "channel": size(self.channel),
        }


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _of_a_step(clone: Path, *, failed: bool) -> dict[str, Callable[..., Any]]:
    """Return the functions that lines of a step can call."""

    def hash_files(*patterns: str) -> str:
        # a `**` at the end finds files, too, which pathlib's finds from Python 3.13 on
        wanted = [f"{each}/*" if each.endswith("**") else each for each in patterns]
        found = sorted({path for each in wanted for path in clone.glob(each) if path.is_file()})
        parts = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in found)
        return hashlib.sha256(parts).hexdigest() if found else ""

    return {
        "hashFiles": hash_files,
        "contains": lambda many, one: one in many,
        "always": lambda: True,
        "cancelled": lambda: False,
        "failure": lambda: failed,
        "success": lambda: not failed,
    }


def read_outputs(text: str) -> dict[str, str]:
    """Read the file that GITHUB_OUTPUT names."""
    return {
        match[1]: match[3]
        for match in re.finditer(r"^(\w+)<<(\S+)\n(.*?)\n\2$", text, re.MULTILINE | re.DOTALL)
    }
