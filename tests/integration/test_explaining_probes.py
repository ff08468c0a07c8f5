"""Probing solves: channel priority as each client means it, and a solver that does not finish."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from rattler import solve
from rattler.exceptions import SolverError

from generator.errors import SolveError
from generator.explaining import Access, Channels, Context, explain, lines_of, read_request
from generator.explaining import probing as probing_module
from generator.testing import Machine
from tests import tiny_repodata
from tests.tiny_repodata import record

pytestmark = pytest.mark.integration


@pytest.fixture
def context(tmp_path):
    rows = {
        "ch0": [record("a", "1.0"), record("c", "1")],
        "ch1": [record("a", "2.0"), record("b", "1.0")],
    }
    for name, found in rows.items():
        tiny_repodata.write(tmp_path / name, {"linux-aarch64": found})
    return Context(
        channels=Channels(Access(cache=tmp_path / "cache", alias=tmp_path.as_uri())),
        machine=Machine(subdir="linux-aarch64", virtual_packages=()),
    )


def explained(line, context, folder):
    return explain(read_request(line, folder=folder), context)


def test_flexible_priority_reaches_into_later_channels_and_strict_does_not(context, tmp_path):
    line = "conda install a=2 -c ch0 -c ch1 --override-channels"
    assert explained(line, context, tmp_path).outcome == "works"
    strict = explained(f"{line} --strict-channel-priority", context, tmp_path)
    assert strict.outcome == "fails"
    assert [(each.cause, each.channel) for each in strict.findings] == [
        ("version", "ch0"),
        ("priority", "ch1"),
    ]
    assert strict.findings[1].hidden_by == "ch0"
    line = "conda install a=2 -c ch1 --override-channels --strict-channel-priority"
    assert strict.commands[0].command == line
    both = explained(
        "conda install a=2 b=1 c -c ch0 -c ch1 --override-channels --strict-channel-priority",
        context,
        tmp_path,
    )
    line = "CONDA_CHANNEL_PRIORITY=flexible conda install a=2 b=1 c -c ch0 -c ch1"
    assert both.commands[0].command == f"{line} --override-channels"
    again = read_request(both.commands[0].command, folder=tmp_path)
    assert again.loose
    assert not again.strict


def test_pixi_takes_from_a_later_channel_what_is_asked_for_directly(context, tmp_path):
    found = replace(
        read_request("pixi global install a=2 -c ch0 -c ch1", folder=tmp_path), defaults=()
    )
    assert explain(found, context).outcome == "works"


def test_flexible_priority_takes_the_first_channel_where_it_can(context, tmp_path):
    found = explained("conda install a -c ch0 -c ch1 --override-channels", context, tmp_path)
    assert [each.version for each in found.installs] == ["1.0"]


def test_a_machine_that_stood_still_is_not_taken_for_a_solver_that_does_not_finish(
    context, tmp_path, monkeypatch
):
    limits = []

    async def stalled(*arguments, timeout, **options):
        limits.append(timeout.total_seconds())
        if len(limits) == 1:
            await asyncio.sleep(limits[0])
            raise SolverError("cancelled")
        return await solve(*arguments, **options)

    monkeypatch.setattr(probing_module, "LIMIT", 0.05)
    monkeypatch.setattr(probing_module, "rattler_solve", stalled)
    found = explained("conda install b -c ch1 --override-channels", context, tmp_path)
    assert found.outcome == "works"
    assert limits[1] == pytest.approx(3 * limits[0])


def test_a_solver_that_does_not_finish_is_no_answer(context, tmp_path, monkeypatch):
    async def endless(*_, timeout, **__):
        await asyncio.sleep(timeout.total_seconds())
        raise SolverError("cancelled")

    monkeypatch.setattr(probing_module, "LIMIT", 0.05)
    monkeypatch.setattr(probing_module, "rattler_solve", endless)
    with pytest.raises(SolveError, match="did not finish"):
        explained("conda install b -c ch1 --override-channels", context, tmp_path)


def test_no_solver_is_asked_for_a_package_and_a_python_that_it_has_no_build_for(
    tmp_path, monkeypatch
):
    asked = []

    async def noted(sources, specs, **options):
        asked.append({str(spec) for spec in specs})
        return await solve(sources, specs, **options)

    rows = [
        record("python", "3.9"),
        record("python", "3.10"),
        record("a", "1.0", depends=["python >=3.10,<3.11", "b"]),
        record("b", "1.0", depends=["python >=3.9"]),
    ]
    tiny_repodata.write(tmp_path / "ch", {"linux-aarch64": rows})
    context = Context(
        channels=Channels(Access(cache=tmp_path / "cache", alias=tmp_path.as_uri())),
        machine=Machine(subdir="linux-aarch64", virtual_packages=()),
    )
    monkeypatch.setattr(probing_module, "rattler_solve", noted)
    found = explained("conda install python=3.9 a b -c ch --override-channels", context, tmp_path)
    assert [(each.cause, each.package) for each in found.findings] == [("python", "a")]
    assert "python=3.10" in found.commands[0].command
    assert not any({"python 3.9.*", "a"} <= specs for specs in asked)
    assert any({"python 3.10.*", "a"} <= specs for specs in asked)


def test_what_goes_together_on_a_newer_system_alone_is_said_to_be_that(tmp_path):
    rows = [
        record("a", "1.0"),
        record("a", "2.0", depends=["c"]),
        record("b", "1.0", depends=["a >=2|<1"]),
        record("b", "0.5"),
        record("c", "1.0", depends=["__glibc >=2.28"]),
    ]
    tiny_repodata.write(tmp_path / "ch", {"linux-aarch64": rows})
    context = Context(
        channels=Channels(Access(cache=tmp_path / "cache", alias=tmp_path.as_uri())),
        machine=Machine(subdir="linux-aarch64", virtual_packages=("__glibc=2.17",)),
    )
    found = explained("conda install a b=1 -c ch --override-channels", context, tmp_path)
    (alone,) = found.findings
    assert (alone.cause, alone.virtual, alone.needed) == ("virtual", "__glibc", ">=2.28")
    rows[2] = record("b", "1.0", depends=["a"])
    rows[1] = record("a", "2.0", depends=["c"], constrains=["b <2"])
    tiny_repodata.write(
        tmp_path / "new",
        {"linux-aarch64": [*rows, record("d", "1", depends=["a >=2|<1", "b"]), record("d", "0")]},
    )
    found = explained("conda install d=1 b -c new --override-channels", context, tmp_path)
    assert {each.virtual for each in found.findings} == {"__glibc"}
    together = [
        record("e", "1", depends=["c"]),
        record("e", "0"),
        record("f", "1", depends=["e >0"]),
        record("f", "0", constrains=["e <0"]),
    ]
    tiny_repodata.write(tmp_path / "two", {"linux-aarch64": [*rows, *together]})
    found = explained("conda install e f -c two --override-channels", context, tmp_path)
    assert [(each.cause, each.virtual) for each in found.findings] == [("conflict", "__glibc")]
    assert (
        "with f, e depends on c 1.0, which needs the C library (glibc) >=2.28" in lines_of(found)[1]
    )
