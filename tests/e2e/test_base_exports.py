"""`armtorch ci exports` on a real OpenBLAS and a real torch: what test.yml asks of conda-forge."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from generator.commands import cli
from generator.errors import SolveError

pytestmark = [pytest.mark.e2e]


def test_debians_openblas_lacks_what_the_table_says(base):
    """The row of libopenblas.so.0 keeps the bundled copy for the sake of this one symbol."""
    arguments = ["ci", "exports", "--base", base.url, "--spec", "libopenblas", "--json"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["kept"]
    assert len(found["needed"]) == 99
    assert found["missing"] == ["sbgemm_"]


def test_a_base_without_the_package_is_no_solution(base):
    done = CliRunner().invoke(cli, ["ci", "exports", "--base", base.url, "--spec", "libnothing"])
    assert isinstance(done.exception, SolveError)
