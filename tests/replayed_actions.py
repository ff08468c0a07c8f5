"""What the actions of the workflows do, with folders and git in place of GitHub's services."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run git with an identity of its own, and nothing that a person has set up for theirs."""
    who = ["-c", "user.name=replay", "-c", "user.email=replay@localhost"]
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


@dataclass
class Actions:
    """GitHub's storage of a repository."""

    folder: Path
    #: opens or refreshes the pull request of a head with a text, and returns its number
    propose: Callable[[str, str], int]
    #: names of files that an attestation was made for
    signed: set[str] = field(default_factory=set)
    #: whether a job is done again, which may replace its own artifact
    again: bool = False
    #: artifacts of this run; no two may have one name
    _artifacts: set[str] = field(default_factory=set)

    def start_run(self) -> None:
        """Begin as GitHub does: a run has artifacts of its own, and the caches of the others."""
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        self._artifacts.clear()

    def run(self, name: str, given: Mapping[str, str], clone: Path) -> dict[str, str]:
        """Do what an action does, and return its outputs."""
        if name == "actions/upload-artifact":
            self._upload(given, clone)
        elif name == "actions/download-artifact":
            for artifact in sorted((self.folder / "artifacts").glob("*")):
                if any(fnmatch.fnmatchcase(artifact.name, p) for p in _braces(given["pattern"])):
                    own = clone / given["path"]
                    into = own if given.get("merge-multiple") else own / artifact.name
                    shutil.copytree(artifact, into, dirs_exist_ok=True)
        elif name in {"actions/cache/restore", "actions/cache"}:
            # the latter's end, which saves, is passed over: it is for the home folder of a runner
            return {"cache-hit": str(self._restore(given, clone)).lower()}
        elif name == "actions/cache/save":
            self._save(given, clone)
        elif name == "actions/attest-build-provenance":
            self.signed |= {path.name for path in clone.glob(given["subject-path"])}
        elif name == "peter-evans/create-pull-request":
            return self._request(given, clone)
        return {}

    def _upload(self, given: Mapping[str, str], clone: Path) -> None:
        """Keep what a glob finds; the artifact's root is what stands before its first star."""
        name, pattern = given["name"], given["path"]
        replaced = self.again and given.get("overwrite") == "True"
        assert replaced or name not in self._artifacts, "GitHub answers 409"
        self._artifacts.add(name)
        shutil.rmtree(self.folder / "artifacts" / name, ignore_errors=True)
        root = clone / pattern.partition("*")[0]
        for path in sorted(clone.glob(pattern)):
            target = self.folder / "artifacts" / name / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)

    @property
    def caches(self) -> dict[str, Path]:
        """Every cache that was saved, by key."""
        return {path.name: path for path in sorted((self.folder / "caches").glob("*"))}

    def _restore(self, given: Mapping[str, str], clone: Path) -> bool:
        exact = self.caches.get(given["key"])
        prefixes = given.get("restore-keys", "").split()
        close = [path for key, path in self.caches.items() if key.startswith(tuple(prefixes))]
        folder = clone / given["path"].split()[0]
        for path in (exact, *sorted(close, key=lambda each: -each.stat().st_mtime))[:1]:
            if path is not None:
                shutil.copytree(path, folder, dirs_exist_ok=True)
        return exact is not None

    def _save(self, given: Mapping[str, str], clone: Path) -> None:
        """Keep a folder; a key that is taken stays what it is."""
        if given["key"] not in self.caches and (clone / given["path"]).is_dir():
            shutil.copytree(clone / given["path"], self.folder / "caches" / given["key"])

    def _request(self, given: Mapping[str, str], clone: Path) -> dict[str, str]:
        git(clone, "switch", "-qC", given["branch"])
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", given["commit-message"])
        git(clone, "push", "-qf", "origin", f"HEAD:{given['branch']}")
        body = (clone.with_suffix(".temp") / "pull-request.md").read_text()
        (self.folder / "pull-request.md").write_text(body)
        head = git(clone, "rev-parse", "HEAD")
        number = self.propose(head, body)
        return {"pull-request-head-sha": head, "pull-request-number": str(number)}


def _braces(pattern: str) -> list[str]:
    match = re.fullmatch(r"(.*)\{(.*)\}(.*)", pattern)
    return [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")] if match else [pattern]
