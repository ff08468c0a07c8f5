"""Random small channels and requests: no false "not there", no command that fails, no crash."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import ChannelPriority, MatchSpec, solve
from rattler.exceptions import SolverError
from rattler.platform import Subdir
from rattler.repo_data.gateway import Gateway

from generator.explaining import Access, Channels, Context, Request, explain, lines_of
from generator.explaining.reading import read_request
from generator.explaining.request import name_of, wishes
from generator.testing import Machine
from tests import tiny_repodata
from tests.counts import count
from tests.tiny_repodata import record

pytestmark = pytest.mark.integration

NAMES = ["a", "b", "c", "python", "pytorch"]
SUBDIRS = ["linux-aarch64", "noarch", "linux-64"]
VIRTUAL = ["__glibc=2.17", "__glibc=2.36", "__cuda=12.6", "__cuda=13.0"]

specs = st.builds(
    lambda name, rest: f"{name}{rest}",
    st.sampled_from(NAMES),
    st.sampled_from(["", "", "=1", "=2", "=3", ">=2", "<2", "=*=cpu*", "=*=cuda*", "=1=cpu_0"]),
)
depends = st.one_of(
    st.builds(
        lambda name, rest: f"{name}{rest}",
        st.sampled_from(NAMES),
        st.sampled_from(["", " >=2", " <2", " 1.*", " * cpu*"]),
    ),
    st.sampled_from(["__glibc >=2.28", "__cuda", "__cuda >=13", "nowhere-to-be-found"]),
)
constrains = st.sampled_from(["a <2", "b >=2", "c <0", "__cuda >=13", "pytorch * cpu*"])
rows = st.builds(
    record,
    st.sampled_from(NAMES),
    st.sampled_from(["1.0", "2.0", "3.0"]),
    build=st.sampled_from(["cpu_0", "cuda130_0", "py312_0"]),
    subdir=st.sampled_from(SUBDIRS),
    depends=st.lists(depends, max_size=2),
    constrains=st.lists(constrains, max_size=1),
)
channels = st.lists(st.lists(rows, max_size=7), min_size=1, max_size=3)


def tried(request: Request, urls, virtual, gateway):
    """Solve a request with rattler alone; whether there is a solution."""
    specs = list(request.solved)
    if request.strict and request.client == "conda":
        specs += [name_of(spec) for spec in specs]
    machine = Machine(subdir="linux-aarch64", virtual_packages=virtual)
    both = [ChannelPriority.Strict, ChannelPriority.Disabled]
    for priority in both[:1] if request.strict else both:
        try:
            asyncio.run(
                solve(
                    [urls[name] for name in request.searched],
                    [MatchSpec(spec) for spec in specs],
                    platforms=[Subdir("linux-aarch64"), Subdir("noarch")],
                    virtual_packages=machine.records(),
                    channel_priority=priority,
                    gateway=gateway,
                )
            )
        except SolverError:
            continue
        return True
    return False


def keeps_most(explanation, request, ours, urls, virtual, gateway):
    """Hold the first command to what trying all there is finds, with rattler alone."""
    everywhere = replace(request, channels=(*request.channels, *([ours] if ours else [])))
    rooms = [replace(everywhere, strict=False)]
    if request.client == "pixi":  # an earlier channel hides a later one, and ours comes first
        rooms = [request, *([replace(request, channels=(ours, *request.channels))] if ours else [])]
    names = replace(request, specs=tuple(dict.fromkeys(map(name_of, request.specs))))
    relaxed = [replace(room, specs=names.specs) for room in rooms]
    if any(tried(each, urls, virtual, gateway) for each in relaxed):
        assert explanation.commands, f"{names.specs} has a solution, and no command is given"
    wanted = wishes(request)
    meant = any(finding.meant for finding in explanation.findings)
    if not explanation.commands or request.client == "pixi" or len(wanted) > 6 or meant:
        return
    given = read_request(explanation.commands[0].command, folder=Path())
    if "python" in names.specs or given.overrides:
        return  # a Python that is near is given instead of one that is not there
    left = {wish.spec for wish in wishes(given)}
    for keeps in product([True, False], repeat=len(wanted)):
        specs = tuple(w.spec for w, kept in zip(wanted, keeps, strict=True) if kept)
        if specs and tried(replace(rooms[0], specs=specs), urls, virtual, gateway):
            assert set(specs) <= left, f"{specs} would do, and {sorted(left)} is given"
            return


@dataclass
class Reading:
    """What examples share: making it takes longer than one of them, and it keeps what it read."""

    folder: Path
    used: int = 0

    def __post_init__(self):
        access = Access(cache=self.folder / "cache", alias=self.folder.as_uri())
        self.channels, self.gateway = Channels(access), Gateway(self.folder / "plain")

    def next(self) -> Path:
        """Return a folder for one example's channels."""
        self.used += 1
        if self.used % 500 == 0:
            self.__post_init__()
        return self.folder / str(self.used)


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return Reading(tmp_path_factory.mktemp("random"))


@pytest.mark.timeout(7200)
@settings(max_examples=count("explain"))
@given(
    contents=channels,
    wanted=st.lists(specs, min_size=1, max_size=3, unique=True),
    virtual=st.lists(st.sampled_from(VIRTUAL), max_size=2, unique_by=lambda text: text[:6]),
    client=st.sampled_from(["conda", "pixi"]),
    strict=st.booleans(),
    with_ours=st.booleans(),
)
def test_no_false_claim_and_no_command_that_fails(
    reading, contents, wanted, virtual, client, strict, with_ours
):
    folder = reading.next()
    urls, records = {}, {}
    for number, found in enumerate(contents):
        name = f"{folder.name}/ch{number}"
        by_subdir = {each: [r for r in found if r[1]["subdir"] == each] for each in SUBDIRS}
        urls[name] = tiny_repodata.write(folder / f"ch{number}", by_subdir)
        records[name] = [row for _, row in found]
    names = sorted(urls)
    ours = names.pop() if with_ours and len(names) > 1 else ""
    request = Request(
        client=client,
        verb="install" if client == "conda" else "global install",
        specs=tuple(wanted),
        channels=tuple(names),
        override=True,
        strict=strict or client == "pixi",
    )
    context = Context(
        channels=reading.channels,
        machine=Machine(subdir="linux-aarch64", virtual_packages=tuple(virtual)),
        ours=ours,
    )
    explanation = explain(request, context)
    assert len(lines_of(explanation)) < 20
    assert (explanation.outcome == "works") is tried(request, urls, tuple(virtual), reading.gateway)
    if explanation.outcome == "works":
        assert explanation.findings == ()
        assert explanation.commands == ()
    else:
        assert explanation.findings, "a failure without a cause"
    if explanation.outcome != "works":
        keeps_most(explanation, request, ours, urls, tuple(virtual), reading.gateway)
    for finding in explanation.findings:
        there = [
            row
            for name in ([finding.channel] if finding.channel else names)
            for row in records[name]
            if row["name"] == finding.package and row["subdir"] != "linux-64"
        ]
        if finding.cause in {"absent", "elsewhere"}:
            assert not there
        else:
            assert there
        if finding.cause not in {"conflict", "python"}:
            alone = replace(request, specs=(finding.spec,))
            assert not tried(alone, urls, tuple(virtual), reading.gateway)
    for command in explanation.commands:
        suggested = replace(read_request(command.command, folder=folder), defaults=())
        assert set(suggested.searched) <= {*names, ours}
        # CONDA_OVERRIDE_CUDA=13.0 before the command is a part of it
        names_set = {text.partition("=")[0] for text in suggested.overrides}
        machine = tuple(text for text in virtual if text.partition("=")[0] not in names_set)
        seen = (*machine, *suggested.overrides)
        assert tried(suggested, urls, seen, reading.gateway), command.command
    shutil.rmtree(folder)
