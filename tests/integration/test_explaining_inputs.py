"""Whole inputs, from explain_inputs.yaml: what is answered, and how `--check` ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from generator.explaining import answer_lines
from generator.explaining.answering import ExplainOptions, Reach, explain_input
from tests import computers

pytestmark = pytest.mark.integration

ROWS = YAML(typ="safe").load(Path(__file__).parents[1] / "explain_inputs.yaml")
#: as the command line ends with --check
CODES = {"works": 0, "fails": 1, "unknown": 11}


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_the_answer_to(row, cached, recorded_alias, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in row.get("files", {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode(row.get("encoding", "utf-8")))
    # no index answers: what is said of wheels is known without one
    variables = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}
    reach = Reach(alias=recorded_alias, timeout=2, offline=row.get("offline", False))
    if "computer" in row:
        tree = computers.write(row["computer"], tmp_path / "machine")
        reach = replace(reach, root=tree.root, system=tree.system)
        variables |= tree.environment
    variables |= row.get("variables", {})
    text = row["input"]
    if row.get("json_newlines"):
        text = json.dumps(json.loads(text, strict=False))
    options = ExplainOptions(
        subdir=row.get("subdir"), virtual=tuple(row.get("virtual", ())), reach=reach
    )
    found = explain_input(replace(cached, environment=variables), text, options)
    written = "\n".join(answer_lines(found))
    assert CODES[found.outcome] == row["check"], written
    if "first" in row:
        failing = [each for each in found.installs if each.commands]
        assert failing[0].commands[0].command == row["first"], written
    for part in row.get("says", []):
        assert part in written, written
    for part in row.get("never", []):
        assert part not in written, written
