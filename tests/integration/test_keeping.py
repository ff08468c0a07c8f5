"""Nothing turns into something else: what clients do to an environment's torch (keeping.yaml)."""

from __future__ import annotations

import fnmatch
import json
import os

import pytest

from tests import keeping
from tests.conda_solvers import SOLVERS, installed

pytestmark = pytest.mark.integration

TABLE = json.loads(keeping.TABLE.read_text())
ROWS = TABLE["rows"]


@pytest.fixture(scope="module")
def world(project, tmp_path_factory):
    return keeping.make(tmp_path_factory.mktemp("keeping"), project)


def test_the_table_has_each_row_by_each_client():
    rows = keeping.load()
    wanted = [
        f"{name}: {command}" for name, env in rows.environments.items() for command in env.does
    ]
    assert list(ROWS) == wanted
    assert len(ROWS) >= 60
    assert {tuple(did) for did in ROWS.values()} == {("was", keeping.OURS, *SOLVERS)}


def test_a_client_changes_what_is_asked_for_or_what_a_row_gives_the_reason_of():
    may, used = keeping.load().may, set()
    for row, did in ROWS.items():
        for client, what in did.items():
            for change in keeping.changed(did["was"], what, row.partition(": ")[2]):
                given = [each for each in may if fnmatch.fnmatchcase(f"{row}: {change}", each)]
                assert given, (row, client, change)
                used |= set(given)
    assert used == set(may)


def test_what_conda_changes_it_says_to_a_person():
    for row, did in ROWS.items():
        for client in SOLVERS:
            changes = keeping.changed(did["was"], did[client], row.partition(": ")[2])
            told = TABLE["told"].get(row, {}).get(client, {})
            for what, _, after in (change.partition(" to ") for change in changes):
                name = "python" if what.startswith("python") else "pytorch"
                assert after in told[name].partition("-->")[2], (row, client, told)


def test_py_rattler_does_what_the_table_says(world):
    for did in keeping.run(world, (keeping.OURS,)):
        assert did.what == {key: ROWS[did.row][key] for key in did.what}, did.row


@pytest.mark.prove
@pytest.mark.skipif("ARMTORCH_CLIENTS" not in os.environ, reason="no clients: make clients")
def test_conda_does_what_the_table_says(world):
    for did in keeping.run(world, installed()):
        assert did.what == {key: ROWS[did.row][key] for key in did.what}, did.row
        told = TABLE["told"].get(did.row, {})
        assert did.told == {key: told[key] for key in did.told}, did.row
