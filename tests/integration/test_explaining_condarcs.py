"""Whose channels are asked, and where they are, from explain_condarcs.yaml."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from generator.explaining import lines_of
from generator.explaining.answering import ExplainOptions, Reach, explain_request
from tests import computers, servers

pytestmark = pytest.mark.integration

ROWS = YAML(typ="safe").load(Path(__file__).parents[1] / "explain_condarcs.yaml")


@contextmanager
def serving(folder):
    """Serve a folder, directly and as the proxy of a host that there is not."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = urlsplit(self.path)
            path = folder / asked.path.lstrip("/")
            status = 200 if path.is_file() else 404
            status = 407 if asked.hostname == "login.internal" else status
            content = path.read_bytes() if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_):
            pass

    with servers.serving(Handler) as url:
        yield url


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_the_channels_of(row, project, recorded_alias, tmp_path, monkeypatch):
    tree = computers.write(row["computer"], tmp_path / "machine")
    home = tmp_path / "machine" / "home"
    home.mkdir()
    with serving(Path(urlsplit(recorded_alias).path)) as server:
        row = json.loads(json.dumps(row).replace("{server}", server))
        (home / ".condarc").write_text(row["condarc"], encoding="utf-8")
        for name, value in row.get("variables", {}).items():
            monkeypatch.setenv(name, value)
        given = replace(
            project,
            cache=tmp_path / "cache",
            environment={**tree.environment, "HOME": "/home"},
        )
        reach = Reach(root=tree.root, system=tree.system, timeout=30)
        asked = row.get("input", "conda install pytorch torchvision")
        found = explain_request(given, asked, ExplainOptions(reach=reach))
    written = "\n".join(lines_of(found))
    assert found.outcome == row["outcome"], written
    assert {each.name: each.url for each in found.channels} == row["channels"]
    for part in row.get("says", []):
        assert part in written, written
