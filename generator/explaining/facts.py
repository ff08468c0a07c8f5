"""What the data files say about clients, names, machines and other tools' messages."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from generator.datafiles import load_data, subdirs
from generator.explaining.findings import Cause

Client = Literal["conda", "mamba", "micromamba", "pixi"]
OptionMeaning = Literal[
    "channel", "name", "prefix", "file", "subdir", "priority", "index", "kept", "spec", "other"
]  # fmt: skip

PipMeaning = Literal[
    "index", "extra", "file", "unread", "backend", "kept", "wheels", "source", "hash",
    "requirement", "python", "other",
]  # fmt: skip


def _pattern(text: str) -> str:
    re.compile(text)
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClientFacts(_Row):
    """How a client behaves when its command says nothing else."""

    default_channels: tuple[str, ...]
    strict: bool
    #: whether strict priority goes by the package's name, whatever version is asked for
    by_name: bool


class VirtualFacts(_Row):
    """A virtual package in plain words."""

    name: str
    #: what it is called where any version will do
    plain: str = ""
    fix: str
    absent: str = ""


class PastedFacts(_Row):
    """How commands and other tools' messages look in texts that a person pastes."""

    lists: tuple[str, ...]
    sentences: tuple[Pattern, ...]
    channel_lists: tuple[str, ...]
    #: what pip, uv and poetry did not find
    requirements: tuple[Pattern, ...]
    #: why a channel is not asked whose terms were not accepted
    terms: str
    #: what else is to be known of a message
    hints: dict[Pattern, str]
    machines: dict[Pattern, str]
    #: what a machine itself said of what it is
    outputs: dict[Pattern, str]
    #: its virtual packages, name and version (no name: its driver)
    virtual: tuple[Pattern, ...]
    clients: dict[Client, tuple[str, ...]]


class CauseFacts(_Row):
    """A cause in words; "" where it is written by its kind."""

    lead: str = ""
    says: str = ""


class Facts(_Row):
    """All of explaining.yaml, where a comment above each row says what it means."""

    clients: dict[Client, ClientFacts]
    options: dict[str, OptionMeaning]
    options_of: dict[Client, dict[str, OptionMeaning]]
    flags: dict[str, Literal["override", "strict", "flexible", "pypi", "locks"]]
    pip_options: dict[str, PipMeaning]
    pip_flags: tuple[str, ...]
    wheel_labels: dict[str, tuple[str, ...]]
    unlabelled: dict[str, tuple[str, ...]]
    pip_cuda_since: dict[str, str]
    torch_projects: tuple[str, ...]
    torch_of: dict[str, dict[str, str]]
    pip_names: dict[str, str]
    wheel_platforms: dict[str, tuple[Pattern, ...]]
    markers: dict[str, dict[str, str]]
    images: dict[str, tuple[str, ...]]
    docker_platforms: dict[str, str]
    containers: dict[str, str]
    runners: dict[Pattern, str]
    selectors: dict[str, tuple[str, ...]]
    yaml_keys: dict[Literal["runners", "variables"], tuple[str, ...]]
    yaml_lines: dict[str, str]
    locks: dict[str, tuple[Pattern, str]]
    systems: dict[str, tuple[str, ...]]
    export_builds: int
    export_pins: int
    exports: dict[Pattern, str]
    prefixes: dict[str, str]
    multichannels: dict[str, tuple[str, ...]]
    subdirs: tuple[str, ...]
    machines: dict[str, tuple[str, ...]]
    hardware: dict[str, str]
    virtual_packages: dict[str, VirtualFacts]
    without_lse: tuple[str, ...]
    override_cuda: str
    renames: dict[str, str]
    stand_ins: dict[str, tuple[str, ...]]
    switches: tuple[str, ...]
    own_switches: tuple[str, ...]
    x86_only: tuple[str, ...]
    gpu_names: tuple[str, ...]
    gpu_prefixes: tuple[str, ...]
    core: tuple[str, ...]
    trio: tuple[str, ...]
    installers: dict[str, str]
    emulated_on: dict[str, tuple[str, ...]]
    besides: dict[str, str]
    notes: dict[str, str]
    refusals: dict[str, tuple[str, str]]
    search_seconds: float
    causes: dict[Cause, CauseFacts]
    pasted: PastedFacts
    patterns: dict[str, Pattern]


class When(_Row):
    """Which machines a warning is about; everything that is given must hold."""

    subdir: str
    board: Pattern | None = None
    lse: bool | None = None
    l4t: str | None = None
    libc: Literal["musl"] | None = None
    hardware: str | None = None
    shadowed: bool = False


class Warn(_Row):
    """A machine on which a package installs and then does not work, or nothing can."""

    id: str
    when: When
    #: "" for all
    package: str = ""
    #: version spec (CEP 29)
    versions: str = "*"
    #: channels whose packages it is not about: they build from source
    not_from: tuple[str, ...] = ()
    short: str
    advice: str
    source: str


class JetPack(_Row):
    """One row of jetson.yaml."""

    l4t: str
    jetpack: str
    cuda: str
    #: of the Ubuntu that it is
    glibc: str
    #: whether it runs the builds for server boards, from CUDA 13 on, instead of those for Jetson
    sbsa: bool


@cache
def facts() -> Facts:
    """Return explaining.yaml; raises DataError."""
    return load_data("explaining.yaml", Facts)


@cache
def pattern(name: str) -> re.Pattern[str]:
    """Return one of the patterns of explaining.yaml; raises DataError."""
    return re.compile(facts().patterns[name])


@cache
def warnings() -> tuple[Warn, ...]:
    """Return warnings.yaml; raises DataError."""
    return tuple(load_data("warnings.yaml", list[Warn]))


@cache
def jetpacks() -> tuple[JetPack, ...]:
    """Return jetson.yaml, the most exact L4T release first; raises DataError."""
    return tuple(load_data("jetson.yaml", list[JetPack]))


@cache
def releases() -> dict[str, dict[str, dt.date]]:
    """Return the day of each upstream release, by conda package; raises DataError."""
    return load_data("releases.yaml", dict[str, dict[str, dt.date]])


def is_switch(name: str) -> bool:
    """Whether a package only chooses a build, or means nothing beside a CPU of Intel's."""
    known = facts()
    return name in (*known.switches, *known.x86_only) or name.startswith(known.gpu_prefixes)


def aside(name: str) -> int:
    """Return where a package stands among others: torch first, then what chooses its build."""
    core, name = facts().core, facts().renames.get(name, name)
    return core.index(name) if name in core else len(core) + (not is_switch(name))


def common_virtual_packages(subdir: str) -> tuple[str, ...]:
    """Return what a common machine of a subdir has; () for one that nobody described."""
    if subdir in subdirs():
        return subdirs()[subdir].virtual_packages
    return facts().machines.get(subdir, ())
