"""Solves and installs fresh prefixes with rattler, the library under pixi and rattler-build."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from rattler import (
    ChannelPriority,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    Version,
    VirtualPackage,
)
from rattler import install as rattler_install
from rattler import solve as rattler_solve
from rattler.exceptions import (
    ExtractError,
    FetchRepoDataError,
    GatewayError,
    InstallerError,
    InvalidChannelError,
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidVersionError,
    IoError,
    LinkError,
    SolverError,
    TransactionError,
)

from generator.errors import SelectionError, SolveError, StorageError, UnreachableError
from generator.model import Subdir
from generator.rattler_names import BuildString, RattlerSubdir, SubdirLiteral
from generator.transport.gateway import open_gateway

#: conda's settings of that name; Miniforge comes with strict
Priority = Literal["strict", "flexible", "disabled"]
_PRIORITIES: Final = {
    "strict": ChannelPriority.Strict,
    "flexible": ChannelPriority.Flexible,
    "disabled": ChannelPriority.Disabled,
}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine an environment is solved for: its subdir and its virtual packages (CEP 30)."""

    subdir: str
    #: ``name=version`` or ``name=version=build``
    virtual_packages: tuple[str, ...]

    @classmethod
    def of(
        cls,
        subdir: Subdir,
        *,
        native: bool,
        driver: Sequence[str] = (),
        added: Sequence[str] = (),
    ) -> Machine:
        """Describe this machine when ``native``, else a common one.

        ``driver`` is taken to be there where the machine does not tell of its own (a CI's runner
        has no GPU); ``added`` replaces by name, and of two with one name the last one holds.
        """
        if native:
            found = [package.into_generic() for package in VirtualPackage.detect()]
            base = [f"{p.name.normalized}={p.version}={p.build_string}" for p in found]
        else:
            base = list(subdir.virtual_packages)
        found_by_name = {text.split("=")[0]: text for text in (*driver, *base, *added)}
        return cls(subdir=subdir.name, virtual_packages=tuple(found_by_name.values()))

    def platforms(self) -> list[RattlerSubdir | SubdirLiteral]:
        """Return the subdirs it takes packages of; raises SelectionError for one that is none."""
        if self.subdir not in get_args(SubdirLiteral):
            raise SelectionError(
                "not a conda subdir", where=self.subdir, next_step="see armtorch matrix --help"
            )
        return [RattlerSubdir(self.subdir), "noarch"]

    def records(self) -> list[GenericVirtualPackage]:
        """Return rattler's form; raises SelectionError for a text that is none."""
        return [_virtual_package(text) for text in self.virtual_packages]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An installed prefix and what is in it."""

    prefix: Path
    records: tuple[RepoDataRecord, ...]

    def record(self, name: str) -> RepoDataRecord | None:
        """Return the installed record of a package."""
        return next((r for r in self.records if r.name.normalized == name), None)


def solve(
    specs: Sequence[str],
    *,
    channels: Sequence[str],
    machine: Machine,
    priority: Priority = "strict",
    installed: Sequence[RepoDataRecord] = (),
    gateway: Gateway | None = None,
) -> list[RepoDataRecord]:
    """Solve ``specs``, channels in order of priority.

    ``installed`` stays where it can. ``gateway`` keeps repodata between solves; without one each
    solve reads it anew.
    Raises SelectionError: a spec is not a MatchSpec (CEP 29), or the subdir is unknown.
    SolveError: there is no solution; the message is the solver's.
    UnreachableError: a channel did not answer.
    """
    platforms = machine.platforms()
    try:
        parsed = [MatchSpec(spec) for spec in specs]
        return asyncio.run(
            rattler_solve(
                list(channels),
                parsed,
                platforms=platforms,
                virtual_packages=machine.records(),
                channel_priority=_PRIORITIES[priority],
                locked_packages=list(installed),
                gateway=gateway or open_gateway(),
            )
        )
    except (InvalidMatchSpecError, InvalidChannelError) as error:
        raise SelectionError(
            str(error),
            where=" ".join(specs),
            next_step="write specs as conda does: name, name=version",
        ) from error
    except SolverError as error:
        virtual = ", ".join(machine.virtual_packages)
        raise SolveError(
            str(error),
            where=f"{' '.join(specs)} on {machine.subdir} with {virtual}",
            next_step="a virtual package can be set with --virtual, a base channel with --base",
        ) from error
    except (GatewayError, FetchRepoDataError) as error:
        raise UnreachableError(
            str(error),
            where=", ".join(channels),
            next_step="check the channel's URL and the network",
        ) from error


def create(
    records: Sequence[RepoDataRecord], *, prefix: Path, subdir: str, package_cache: Path
) -> Environment:
    """Install solved ``records`` into a fresh ``prefix``.

    ``package_cache`` must be private to one state of the channel: rattler's cache goes by file
    name and would serve an older build of the same name.
    Raises StorageError: the prefix or the cache cannot be written. SolveError: a package could not
    be linked.
    """
    try:
        asyncio.run(
            rattler_install(
                list(records),
                target_prefix=prefix,
                cache_dir=package_cache,
                platform=RattlerSubdir(subdir),
                execute_link_scripts=False,
                show_progress=False,
            )
        )
    except (IoError, OSError) as error:
        raise StorageError(
            str(error), where=str(prefix), next_step="check free space and permissions"
        ) from error
    except (InstallerError, LinkError, TransactionError, ExtractError) as error:
        raise SolveError(
            f"could not be installed: {error}",
            where=str(prefix),
            next_step="rebuild the package that is named",
        ) from error
    return Environment(prefix=prefix, records=tuple(records))


def _virtual_package(text: str) -> GenericVirtualPackage:
    name, _, rest = text.partition("=")
    version, _, build = rest.partition("=")
    try:
        return GenericVirtualPackage(
            PackageName(name), Version(version or "0"), BuildString(build or "0")
        )
    except (InvalidVersionError, InvalidPackageNameError, ValueError) as error:
        raise SelectionError(
            "not a virtual package", where=text, next_step="write it like __cuda=13.0"
        ) from error
