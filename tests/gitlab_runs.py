"""Runs GitLab's pipelines here, by gitlab-ci-local: each job in a copy of the repository.

Nothing of a job's commands is changed; Python and pip are stand-ins, which give it this checkout's
armtorch. gitlab-ci-local comes from npm into the user's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock
from platformdirs import user_cache_path

from tests.replayed_actions import git

ROOT: Final = Path(__file__).parents[1]
PROGRAM: Final = "gitlab-ci-local"
#: what it starts itself
NEEDED: Final = ("node", "npm", "git", "rsync")
VERSION: Final = "4.61.0"


class MissingProgramError(Exception):
    """A program that is not installed here."""


def installed() -> Path:
    """Return gitlab-ci-local, installed into the user's cache where it is not there."""
    for name in NEEDED:
        if shutil.which(name) is None:
            msg = f"{name} is not installed"
            raise MissingProgramError(msg)
    home = user_cache_path("armtorch") / f"{PROGRAM}-{VERSION}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not (home / ".installed").exists():
            command = [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--fetch-retries=1",
            ]
            done = subprocess.run(
                [*command, "--prefix", home, f"{PROGRAM}@{VERSION}"],
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                msg = f"npm does not give {PROGRAM} {VERSION}: {done.stderr.strip()[-300:]}"
                raise MissingProgramError(msg)
            (home / ".installed").touch()
    return home / "node_modules/.bin" / PROGRAM


def stand_ins(folder: Path, python: str) -> Path:
    """Write a Python whose environments have this armtorch, and a pip that does nothing."""
    folder.mkdir()
    program = folder / f"python{python}"
    program.write_text(f"""#!/bin/sh
test "$1 $2" = "-m venv" || exit 1
mkdir -p "$3/bin"
echo "PATH=$PWD/$3/bin:\\$PATH" > "$3/bin/activate"
printf '#!/bin/sh\\ntest "$1 $2 $3" = "-m pip install"\\n' > "$3/bin/python"
printf '#!/bin/sh\\nexec {sys.executable} -m generator "$@"\\n' > "$3/bin/armtorch"
chmod +x "$3/bin/python" "$3/bin/armtorch"
""")
    program.chmod(0o755)
    return folder


def started(folder: Path, file: str, variables: Mapping[str, str], *without: str) -> set[str]:
    """Return the jobs that a pipeline has where variables are so; the folder is a repository."""
    options = [f"--variable={name}={value}" for name, value in variables.items()]
    options += [f"--unset-variable={name}" for name in without]
    done = subprocess.run(
        [
            *(installed(), "--force-shell-executor", "--json-schema-validation=false"),
            *("--file", file, "--list-csv", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split(";") for line in done.stdout.splitlines() if ";" in line]
    return {row[0] for row in rows} - {"name"}


@dataclass(frozen=True)
class GitLabRuns:
    """A project, as a clone and the repository that it is pushed to."""

    clone: Path
    origin: Path
    programs: Path
    environment: Mapping[str, str]

    def run(self, source: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the pipeline that an event starts, as GitLab's words call it."""
        given = {"CI_PIPELINE_SOURCE": source, "CI_PROJECT_URL": str(self.origin)[:-4]}
        given |= {name: value for name, value in variables.items() if name.startswith("CI_")}
        # what is given on the command line is not there in a pipeline that the first one starts
        rest = {name: value for name, value in variables.items() if name not in given}
        (self.clone / ".gitlab-ci-local-variables.yml").write_text(json.dumps(rest))
        options = [f"--variable={name}={value}" for name, value in given.items()]
        own = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.run(
            [installed(), "--force-shell-executor", "--shell-isolation", "--no-color", *options],
            cwd=self.clone,
            env={
                **own,
                **self.environment,
                "PYTHONPATH": str(ROOT),
                "PATH": f"{self.programs}{os.pathsep}{own['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, files: Mapping[str, bytes]) -> None:
        """Make the repository of some files."""
        for path, content in files.items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / path).write_bytes(content)
        git(self.clone, "init", "-q", "-b", "main")
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "-qm", "Start")
        git(self.clone, "clone", "-q", "--bare", str(self.clone), str(self.origin))
        # as GitLab, which takes what is to become of a merge request with a push
        git(self.origin, "config", "receive.advertisePushOptions", "true")
        hook = self.origin / "hooks/pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(
            f"#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_ > {self.origin}/options; exit 0\n"
        )
        hook.chmod(0o755)
        address = "https://gitlab.example/me/armtorch.git"
        git(self.clone, "remote", "add", "origin", address)
        git(self.clone, "config", f"url.{self.origin}.insteadOf", address)
