"""Sub-indexes that a root page names: no more of them than there can be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from generator.errors import UnreachableError
from generator.feedstock import IndexSource
from generator.upstream.claims import Claims, claims_of
from generator.upstream.families import Family

CLAIMS: Claims = claims_of("whl-cu*", IndexSource(kind="pytorch", url="https://host/whl/cu*"))
LINK = '<a href="/whl/{}/torch-2.15.0%2B{}-cp312-cp312-manylinux_2_28_aarch64.whl">x</a>\n'


def names(*labels: str) -> list[str]:
    content = "".join(LINK.format(label, label) for label in labels).encode()
    page = SimpleNamespace(content=content)
    above = SimpleNamespace(url="https://host/whl/", page=lambda _: page)
    make = lambda name, label: SimpleNamespace(name=name, label=label)  # noqa: E731
    family = Family("whl-cu*", CLAIMS, cast("Any", above), cast("Any", make))
    return [each.name for each in family.members()]


def test_only_lines_become_indexes() -> None:
    labels = ("cu130", "cu132", "cu../..", "cu13", "cu1300", "cpu", "cu130/../cu999")
    assert names(*labels) == ["whl-cu130", "whl-cu132"]


def test_a_page_that_names_hundreds_of_lines_is_not_followed() -> None:
    with pytest.raises(UnreachableError, match="names 300 CUDA lines"):
        names(*(f"cu{number}" for number in range(100, 400)))
