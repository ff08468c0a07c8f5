"""Solves the commands of tests.previous_versions with conda's own classic solver.

``PYTHON -m tests.with_conda LINES.json CHANNELS``, PYTHON being one that has conda: each command of
LINES.json is run as it stands, with --dry-run, on the channels in the folder CHANNELS. conda is no
dependency; its checkout was installed in an environment of its own.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path


def solves(command: str, subdir: str, defaults: str, channels: str) -> bool:
    """Whether conda, asked for another subdir, finds a solution."""
    words = [word for word in shlex.split(command) if word != "conda"]
    variables = {
        word.partition("=")[0]: word.partition("=")[2] for word in words if word[:6] == "CONDA_"
    }
    words = [word for word in words if word[:6] != "CONDA_"]
    if "create" not in words:
        words[words.index("install")] = "create"
        words += ["-n", "lines"]
    with tempfile.TemporaryDirectory(prefix="armtorch-conda-") as home:
        Path(home, ".condarc").write_text(
            f"channel_alias: {Path(channels).absolute().as_uri()}\nchannels: [{defaults}]\n"
            "solver: classic\nauto_update_conda: false\n"
        )
        overrides = (
            {"CONDA_OVERRIDE_GLIBC": "2.36"}
            if subdir.startswith("linux")
            else {"CONDA_OVERRIDE_OSX": "15.0"}
        )
        done = subprocess.run(
            [sys.executable, "-m", "conda", *words, "--dry-run", "--json", "--yes"],
            env={**os.environ, "HOME": home, "CONDA_SUBDIR": subdir, **overrides, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.returncode == 0


def main(lines: str, channels: str) -> None:
    rows = json.loads(Path(lines).read_text(encoding="utf-8"))
    asked = sorted({(row["given"], row["subdir"], row["defaults"]) for row in rows})
    bad = [each for each in asked if not solves(*each, channels)]
    for each in bad:
        print("no solution:", *each)
    print(json.dumps({"commands": len(asked), "solved_by_conda": len(asked) - len(bad)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
