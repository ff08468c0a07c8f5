"""``python -m tests.transcripts``: runs the README's commands, and writes what they print there."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from generator.atomic import write_text
from generator.console import Silent
from generator.project import Project
from tests import recorded
from tests.own_feedstock import DECLARED, FOLDER

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_BEGIN, _END = "<!-- transcripts -->\n", "<!-- end of transcripts -->"
_TRIO = "conda install pytorch torchvision torchaudio cpuonly -c pytorch"
_ARM = "--subdir linux-aarch64"
COMMANDS = (
    f'armtorch explain "{_TRIO}" {_ARM} --default-channels main',
    f'armtorch explain "conda create -n ml python=3.9 pytorch torchvision" {_ARM}',
    f'armtorch explain "pixi add pytorch-gpu torchvision" {_ARM} --virtual __cuda=12.6',
)


def transcripts() -> str:
    """Run the commands on the recorded channels and return them with what they print."""
    with tempfile.TemporaryDirectory(prefix="armtorch-transcripts-") as name:
        project = Project(feedstock=DECLARED, narrator=Silent())
        alias = recorded.write(project, Path(name)).alias
        environment = {
            **os.environ,
            "CONDA_CHANNEL_ALIAS": alias,
            "XDG_CACHE_HOME": f"{name}/cache",
            "PYTHONPATH": str(ROOT),
        }
        return "\n".join(_run(command, environment) for command in COMMANDS)


def _run(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "generator", *shlex.split(command)[1:]],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return f"```console\n$ {command}\n{done.stdout}```\n"


def written() -> str:
    """Return the transcripts as the README has them."""
    text = README.read_text(encoding="utf-8")
    return text.split(_BEGIN, 1)[1].split(_END, 1)[0]


def main() -> None:
    text = README.read_text(encoding="utf-8")
    head, rest = text.split(_BEGIN, 1)
    tail = rest.split(_END, 1)[1]
    write_text(README, f"{head}{_BEGIN}{transcripts()}{_END}{tail}")


if __name__ == "__main__":
    main()
