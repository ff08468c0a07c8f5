"""What judging an input needs beside it: the machine, its conda's configuration, the channels."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from generator.documents import limits, load_json, read_bytes
from generator.errors import ArmtorchError, MalformedError, UnreachableError
from generator.explaining.channels import ALIAS, TIMEOUT, Access, Channels
from generator.explaining.computer import Computer, System, look, with_overrides
from generator.explaining.condarc import Condarc, read_condarc
from generator.explaining.facts import common_virtual_packages
from generator.project import Project, base_channels
from generator.transport import HttpPolicy
from generator.upstream import Offer, open_web, read_pip_configuration
from generator.upstream.indexes import FolderIndex, Index, SimpleIndex
from generator.urls import local_path, public_url

_BASE = ("conda-forge",)
#: seconds for all of an input's questions to pip's indexes
_BUDGET: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How channels are reached, and which one is ours."""

    #: None for the person's own channel_alias, or conda's
    alias: str | None = None
    offline: bool = False
    timeout: int = TIMEOUT
    #: None for the feedstock's own
    ours: str | None = None
    #: files of the machine; None for the one that armtorch runs on
    root: Path | None = None
    #: what runs there; None to look at this machine, or with ``root`` to go by its files alone
    system: System | None = None


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """For which machine a request is explained."""

    subdir: str | None = None
    #: ``__cuda=12.6``
    virtual: tuple[str, ...] = ()
    #: the Python that is in the environment already
    python: str | None = None
    #: what the client asks when nobody says otherwise; () for the usual
    default_channels: tuple[str, ...] = ()
    reach: Reach = Reach()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One input's surroundings."""

    project: Project
    options: ExplainOptions
    computer: Computer
    condarc: Condarc
    channels: Channels


def open_desk(project: Project, options: ExplainOptions) -> Desk:
    """Look at the machine and its configuration."""
    condarc = condarc_of(project, options.reach)
    return Desk(
        project=project,
        options=options,
        computer=computer_of(project, options.reach),
        condarc=condarc,
        channels=channels_of(project, options.reach, condarc),
    )


def computer_of(project: Project, reach: Reach, virtual: tuple[str, ...] = ()) -> Computer:
    """Look at the machine; ``virtual`` and CONDA_OVERRIDE_* set what packages may ask of it."""
    system = reach.system
    if system is None and reach.root is None:
        system = System.running(project.environment)
    found = look(reach.root or Path("/"), project.environment, system)
    # an exported CONDA_SUBDIR is what its conda installs for (conda docs, "Settings")
    conda = project.environment.get("CONDA_SUBDIR") or found.conda
    alike = not conda or conda.split("-")[0] == found.subdir.split("-")[0]
    own = found.virtual_packages if alike else common_virtual_packages(conda)
    packages = with_overrides((*own, *virtual), project.environment)
    return replace(found, conda=conda, virtual_packages=packages)


def native_of(subdir: str, computer: Computer | None) -> str:
    """Return the subdir of the hardware where another one is asked for, which runs translated.

    macOS and Windows run both; 64-bit programs do not run on a 32-bit Linux.
    """
    if computer is None or computer.hardware == subdir or subdir.startswith("linux-"):
        return ""
    return computer.hardware


def installed_from(prefix: Path) -> str:
    """Return the channel that armtorch's package in an environment came from, "" for none.

    conda, mamba and pixi keep a record of each package in ``conda-meta``; its ``url`` is the
    channel's, a subdir and a file name.
    """
    for path in sorted((prefix / "conda-meta").glob("armtorch-[0-9]*.json")):
        try:
            record = load_json(read_bytes(path, limits().json.bytes), str(path))
        except (OSError, MalformedError):
            continue
        url = record.get("url") if isinstance(record, dict) else None
        if isinstance(url, str) and "/noarch/" in url:  # else a file that was installed by itself
            return url.rpartition("/noarch/")[0]
    return ""


def ours_of(project: Project, reach: Reach, subdir: str) -> tuple[str, tuple[str, ...]]:
    """Return our channel and its base channels.

    Without a feedstock it is the channel that armtorch itself was installed from.
    """
    if not project.feedstock.exists():
        return reach.ours or installed_from(Path(sys.prefix)), _BASE
    feedstock = project.declared()
    return reach.ours or feedstock.channel, base_channels(feedstock, subdir) or _BASE


def condarc_of(project: Project, reach: Reach) -> Condarc:
    """Read the configuration of the conda on the machine."""
    return read_condarc(reach.root or Path("/"), project.environment)


def channels_of(project: Project, reach: Reach, condarc: Condarc) -> Channels:
    """Return what asks channels, where that machine's conda would."""
    return Channels(
        Access(
            cache=project.cache / "repodata",
            alias=(reach.alias or condarc.alias or ALIAS).rstrip("/"),
            mirrors=reach.alias is not None,
            condarc=condarc,
            offline=reach.offline,
            timeout=reach.timeout,
        )
    )


def asking(desk: Desk) -> Callable[[str, str], Sequence[Offer]] | None:
    """Return what asks pip's indexes, a silent one once; None where nobody is (``--offline``)."""
    indexes: dict[str, Index] = {}
    silent: dict[str, ArmtorchError] = {}
    deadline = time.monotonic() + _BUDGET

    def ask(url: str, project: str) -> Sequence[Offer]:
        if url in silent:
            raise silent[url]
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"not asked any more after {_BUDGET:.0f} s", where=project, next_step="ask again"
            )
        if url not in indexes:
            indexes[url] = _index(url, desk)
        try:
            return indexes[url].offers(project)
        except UnreachableError as error:
            silent[url] = error
            raise

    return None if desk.options.reach.offline else ask


def _index(url: str, desk: Desk) -> Index:
    """Return the index at an address, for "" the one that pip is configured to ask."""
    pip = read_pip_configuration(desk.project.environment)
    timeout = min(desk.options.reach.timeout, _BUDGET)
    policy = HttpPolicy(retries=0, timeout_seconds=timeout, ca_bundle=pip.cert, proxy=pip.proxy)
    address = url or pip.indexes[0]
    if (folder := local_path(address)) is not None:
        return FolderIndex("pip", folder, declared=True)
    return SimpleIndex(public_url(address), address, open_web(desk.project.cache, policy))
