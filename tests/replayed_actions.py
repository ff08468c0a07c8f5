"""What the actions of the workflows do, with folders and git in place of GitHub's services."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.replayed_storage import Artifacts, Caches


def git(folder: Path, *arguments: str) -> str:
    """Run git with an identity of its own, and nothing that a person has set up for theirs.

    A job's clone belongs to the user that its steps run as.
    """
    who = ["-c", "user.name=replay", "-c", "user.email=replay@localhost", "-c", "safe.directory=*"]
    nobodys = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        env={**os.environ, **nobodys},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class RefusedError(Exception):
    """GitHub does not do what an action asks, by the repository's settings: its step fails."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a job has for itself."""

    clone: Path
    home: Path
    #: RUNNER_TEMP
    temporary: Path
    #: branches whose caches it reads; what it saves is for the first
    scopes: tuple[str, ...]

    def paths(self, text: str) -> list[Path]:
        """Resolve paths as actions do."""
        return [
            self.home / line[2:] if line.startswith("~/") else self.clone / line
            for line in text.split()
        ]


@dataclass
class Actions:
    """GitHub's storage of a repository, and the actions that use it."""

    folder: Path
    #: opens or refreshes the pull request of a head with a text, and returns its number
    propose: Callable[[str, str], int]
    #: whether the job's token may write something
    may: Callable[[str], bool]
    #: names of files that an attestation was made for
    signed: set[str] = field(default_factory=set)
    #: what actions/attest signed last
    predicate: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep both kinds of storage in folders of their own."""
        self.caches = Caches(self.folder / "caches")
        self.artifacts = Artifacts(self.folder / "artifacts")

    def run(self, name: str, given: Mapping[str, str], desk: Desk) -> dict[str, str]:
        """Do what an action does, and return its outputs; AssertionError where it would fail."""
        if name == "actions/upload-artifact":
            self._upload(given, desk.clone)
        elif name == "actions/download-artifact":
            self._download(given, desk.clone)
        elif name in {"actions/cache/restore", "actions/cache"}:
            prefixes, into = given.get("restore-keys", "").split(), desk.paths(given["path"])
            hit = self.caches.restore(given["key"], prefixes, desk.scopes, into)
            return {"cache-hit": str(hit).lower()}
        elif name == "actions/cache/save":
            self.caches.save(given["key"], desk.scopes[0], desk.paths(given["path"]))
        elif name in {"actions/attest-build-provenance", "actions/attest"}:
            assert self.may("id-token"), "the job signs, and has no identity"
            assert self.may("attestations"), "the job stores attestations, and its token may not"
            self.signed |= {path.name for path in desk.clone.glob(given["subject-path"])}
            if "predicate-path" in given:
                self.predicate = json.loads((desk.clone / given["predicate-path"]).read_text())
        elif name == "peter-evans/create-pull-request":
            return self._request(given, desk)
        return {}

    def end(self, name: str, given: Mapping[str, str], desk: Desk, *, hit: bool) -> None:
        """Do what an action does at the end of a job that succeeded."""
        if name == "actions/cache" and not hit:
            self.caches.save(given["key"], desk.scopes[0], desk.paths(given["path"]))

    def _upload(self, given: Mapping[str, str], clone: Path) -> None:
        """Keep what a glob finds; the artifact's root is what stands before its first star."""
        files = list(clone.glob(given["path"]))
        if not files:
            assert given["if-no-files-found"] == "ignore", f"no files: {given['path']}"
            return
        root = clone / given["path"].partition("*")[0]
        overwrite = given.get("overwrite") == "true"
        self.artifacts.upload(given["name"], root, files, overwrite=overwrite)

    def _download(self, given: Mapping[str, str], clone: Path) -> None:
        patterns, own = _braces(given["pattern"]), clone / given["path"]
        found = sorted(self.artifacts.folder.glob("*"))
        found = [a for a in found if any(fnmatch.fnmatchcase(a.name, p) for p in patterns)]
        for artifact in found:
            merged = given.get("merge-multiple") or len(found) == 1
            shutil.copytree(artifact, own if merged else own / artifact.name, dirs_exist_ok=True)

    def _request(self, given: Mapping[str, str], desk: Desk) -> dict[str, str]:
        clone, base = desk.clone, given["base"]
        before = git(clone, "rev-parse", "HEAD")
        rebased = git(clone, "branch", "--show-current") != base
        git(clone, "switch", "-qC", "scratch")
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", given["commit-message"])
        if rebased:
            git(clone, "fetch", "-q", "--force", "--depth=1", "origin", f"{base}:{base}")
            git(clone, "switch", "-q", base)
            try:
                git(clone, "cherry-pick", "--strategy-option=theirs", f"{before}..scratch")
            except subprocess.CalledProcessError as error:
                raise RefusedError(f"Unexpected error: {error.stderr}") from error
        git(clone, "switch", "-qC", given["branch"])
        if git(clone, "diff", "--name-only", f"origin/{base}", "--", ".github/workflows"):
            msg = "refusing to allow a GitHub App to create or update workflow"
            raise RefusedError(msg)
        git(clone, "push", "-qf", "origin", f"HEAD:refs/heads/{given['branch']}")
        body = Path(given["body-path"]).read_text()
        (self.folder / "pull-request.md").write_text(body)
        head = git(clone, "rev-parse", "HEAD")
        number = self.propose(head, body)
        return {"pull-request-head-sha": head, "pull-request-number": str(number)}


def _braces(pattern: str) -> list[str]:
    match = re.fullmatch(r"(.*)\{(.*)\}(.*)", pattern)
    return [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")] if match else [pattern]
