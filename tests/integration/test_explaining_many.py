"""Generated inputs of several installs: `--check` never passes one of which any install fails."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from generator.errors import SelectionError
from generator.explaining.answering import ExplainOptions, Reach, explain_input
from tests.counts import count

pytestmark = pytest.mark.integration

#: what works alone on linux-aarch64 with conda-forge, and what does not
_GOOD = (
    "conda install -y numpy",
    "conda create -y -n {env} python=3.11 pytorch",
    "mamba install -y -n {env} torchvision",
    "micromamba install -y -n {env} -c conda-forge numpy pillow",
    "CONDA_OVERRIDE_CUDA=13.0 conda create -y -n {env} pytorch-gpu",
    "pip install torch==2.8.0",
)
_BAD = (
    "conda install -y -c pytorch pytorch-cuda=12.1",
    "conda create -y -n {env} python=3.11 pytorch==1.13.1",
    "mamba install -y pytorch::torchvision",
    "pip install torch==2.1.2+cu118",
    "python -m pip install torch --index-url https://download.pytorch.org/whl/cu121",
    "conda run -n {env} pip install 'torchvision==0.16.2+cu118'",
    "conda install -y --file nowhere.txt",
    "conda env create -f nowhere.yml",
    "pip install -r nowhere.txt",
)
_AROUND = ("echo hello", "apt-get update", "export A=1", "cd /work", "# a comment")


@dataclass(frozen=True)
class Text:
    """One generated input; whether something in it fails or cannot be known."""

    content: str
    bad: bool


def text_of(chance: random.Random) -> Text:
    """Return a script, a Dockerfile or a README with one to five installs."""
    commands, bad = [], False
    for _ in range(chance.randint(1, 5)):
        fails = chance.random() < 0.3
        bad = bad or fails
        command = chance.choice(_BAD if fails else _GOOD)
        commands.append(command.format(env=chance.choice(["a", "b"])))
    lines = []
    for command in commands:
        lines += [chance.choice(_AROUND)] * chance.randint(0, 1)
        lines.append(command.replace(" -y", " \\\n    -y", 1) if chance.random() < 0.3 else command)
    kind = chance.choice(["script", "dockerfile", "readme", "chain"])
    if kind == "dockerfile":
        body = "\n".join(f"RUN {each}" for each in lines if not each.startswith("#"))
        return Text(f"FROM condaforge/miniforge3\n{body}\n", bad)
    if kind == "readme":
        return Text(
            "Install it:\n\n```bash\n" + "\n".join(f"$ {c}" for c in commands) + "\n```\n", bad
        )
    if kind == "chain":
        return Text("set -e; " + " && ".join(commands) + "\necho done\n", bad)
    return Text("#!/bin/bash\n" + "\n".join(lines) + "\n", bad)


def test_check_never_passes_what_fails(cached, recorded_alias, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
    project = replace(cached, environment=variables)
    reach = Reach(alias=recorded_alias, timeout=2, offline=True)
    options = ExplainOptions(subdir="linux-aarch64", reach=reach)
    passed = 0
    for seed in range(count("installs")):
        text = text_of(random.Random(seed))
        (tmp_path / "install.sh").write_text(text.content)
        try:
            found = explain_input(project, "install.sh", options)
        except SelectionError:  # a refusal ends with its own exit code
            assert text.bad, text.content
            continue
        passed += found.outcome == "works"
        assert not (text.bad and found.outcome == "works"), text.content
    assert passed, "not one input passes: nothing was shown"
