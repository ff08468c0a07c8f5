"""``build --provenance``: which commit brought what each package is made from.

It is asked of the history of feedstock.lock.yaml, which has number and digest of every recipe: the
first commit with both. A later commit, a renamed line or a merge changes nothing of that, so the
same inputs give the same bytes wherever in the history they are built again.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from generator.errors import AbsentError, MissingToolError, SelectionError
from generator.model import Lock, Variant
from generator.model.provenance import Provenance
from generator.project import Project

#: instead of an address: feedstock.yaml's `repository`
DECLARED: Final = "feedstock.yaml"
#: as the lock's writer has it, on one line
_ADDED: Final = re.compile(r"\+.*\{number: (\d+), digest: '?([0-9a-f]{64})'?\}")
#: begins a commit's line in what git prints
_MARK: Final = "commit "


def provenances(
    project: Project, lock: Lock, chosen: Sequence[Variant], remote_url: str
) -> dict[str, Provenance]:
    """Return the provenance of variants, by id.

    ``remote_url`` is where people find the repository (CEP 31: HTTP or HTTPS, and no login in it),
    or `DECLARED`: what feedstock.yaml says, and nothing is stated where it says nothing. The git
    repository needs its whole history.
    Raises SelectionError: the address is none. MissingToolError: there is no git. AbsentError:
    there is no history, not all of it, or what a package is made from is in no commit.
    """
    if remote_url == DECLARED:
        remote_url = project.declared().repository or ""
        if not remote_url:
            return {}
    try:
        Provenance(remote_url=remote_url, sha="0" * 40)
    except ValueError as error:
        raise SelectionError(
            "not the address of a repository: https://, and no login or query in it",
            where="--provenance",
            next_step="for example --provenance https://github.com/me/armtorch",
        ) from error
    builds = {v.id: lock.builds[f"{v.line}/{v.package}"] for v in chosen}
    commits = _first_commits(project.lock, {build.digest for build in builds.values()})
    found = {}
    for variant, build in builds.items():
        sha = commits.get((build.number, build.digest))
        if sha is None:
            raise AbsentError(
                f"what {variant} is made from is in no commit",
                where=str(project.lock),
                next_step="commit the lock and what was rendered, or build without --provenance",
            )
        found[variant] = Provenance(remote_url=remote_url, sha=sha)
    return found


def lock_day(lock: Path) -> dt.date | None:
    """Return the day (UTC) that a lock is of: of its last commit, else of its file.

    None where git does not say: in a shallow clone every file is of the newest commit.
    """
    seconds = lock.stat().st_mtime
    if any((folder / ".git").exists() for folder in lock.absolute().parents):
        try:
            if _git(lock.parent, "rev-parse", "--is-shallow-repository").strip() == "true":
                return None
            if not _git(lock.parent, "status", "--porcelain", "--", lock.name):
                seconds = float(_git(lock.parent, "log", "-1", "--format=%ct", "--", lock.name))
        except (AbsentError, MissingToolError, ValueError):  # ValueError: git ignores the file
            return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def _first_commits(lock: Path, digests: set[str]) -> Mapping[tuple[int, str], str]:
    """Return the first commit that has a number with one of these digests, by both."""
    if _git(lock.parent, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise AbsentError(
            "the clone is shallow: the commit that brought something may not be in it",
            where=str(lock.parent),
            next_step="git fetch --unshallow (actions/checkout: fetch-depth: 0), "
            "or build without --provenance",
        )
    text = _git(
        lock.parent,
        "log",
        "--reverse",
        "--topo-order",
        "-m",
        "--patch",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-renames",
        "--no-textconv",
        f"--format={_MARK}%H",
        f"-G{'|'.join(sorted(digests))}",
        "--",
        lock.name,
    )
    found: dict[tuple[int, str], str] = {}
    commit = ""
    for line in text.splitlines():
        if line.startswith(_MARK):
            commit = line.removeprefix(_MARK)
        elif match := _ADDED.match(line):
            found.setdefault((int(match[1]), match[2]), commit)
    return found


def file_at(path: Path, revision: str) -> str:
    """Return a committed file as it was at a revision.

    Raises MissingToolError: there is no git. AbsentError: there is no such revision, or no such
    file in it.
    """
    return _git(path.parent, "show", f"{revision}:./{path.name}")


def _git(folder: Path, *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        raise MissingToolError(
            "git is not installed",
            where="--provenance",
            next_step="install git, or build without --provenance",
        )
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise AbsentError(
            f"git does not tell the history: {done.stderr.strip()[-300:]}",
            where=str(folder),
            next_step="build from a clone of the feedstock's repository, or without --provenance",
        )
    return done.stdout
