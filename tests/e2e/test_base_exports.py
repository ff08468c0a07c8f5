"""`armtorch ci exports` on a real OpenBLAS and a real torch: what test.yml asks of conda-forge."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from generator.commands import cli
from generator.errors import SolveError
from tests.own_feedstock import DECLARED

pytestmark = [pytest.mark.e2e]


def test_debians_openblas_lacks_what_the_table_says(base):
    """The row of libopenblas.so.0 keeps the bundled copy for the sake of this one symbol."""
    done = exports(base, "libopenblas", "--json", catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["kept"]
    assert len(found["needed"]) == 99
    assert found["missing"] == ["sbgemm_"]


def test_a_base_without_the_package_is_no_solution(base):
    assert isinstance(exports(base, "libnothing").exception, SolveError)


def exports(base, spec, *more, **settings):
    own = ["--feedstock", str(DECLARED), "ci", "exports", "--base", base.url, "--spec", spec]
    return CliRunner().invoke(cli, [*own, *more], **settings)
