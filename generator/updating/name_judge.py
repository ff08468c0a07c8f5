"""Whether what a release asks for has a conda package, where no row of pypi_names.yaml says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from rattler import Gateway
from rattler.exceptions import GatewayError, InvalidChannelError

from generator.console import Narrator
from generator.feedstock import Feedstock
from generator.model import Finding
from generator.naming import unmapped
from generator.project import base_channels
from generator.rattler_names import RattlerSubdir
from generator.transport.gateway import open_gateway
from generator.updating.judging import Prospect
from generator.upstream import WheelReader

_ROW: Final = (
    "add a row to data/pypi_names.yaml, beside feedstock.yaml or in generator/, that says what it "
    "is called in conda"
)


@dataclass(kw_only=True)
class NameJudge:
    """Asks the base channel whether it has a package of a requirement's own name.

    Only for requirements that pypi_names.yaml knows nothing of, so an ordinary update asks nothing.
    Where the base channel cannot be asked, the release is taken under that name and it is said: the
    solving of every cell against the base, before anything is published, will tell
    (`matrix --against-base`).
    """

    feedstock: Feedstock
    reader: WheelReader
    narrator: Narrator
    gateway: Gateway = field(default_factory=open_gateway)
    #: base channels, subdir, name -> whether a package of that name is there; None: no answer
    _known: dict[tuple[tuple[str, ...], str, str], bool | None] = field(default_factory=dict)
    #: base channels that did not answer, which are not asked again in this run
    _silent: set[tuple[str, ...]] = field(default_factory=set)

    def __call__(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return the requirements that no base channel has a package for; see `Judge`."""
        channels = base_channels(self.feedstock, prospect.subdir.name)
        lacking: dict[str, None] = {}
        unasked: dict[str, None] = {}
        for python, offer in prospect.wheels.items():
            if offer.platforms == ("any",):
                continue  # the base channel's business, whatever it requires
            metadata = self.reader.metadata(offer).metadata
            for project in unmapped(metadata, subdir=prospect.subdir, python=python):
                here = channels, prospect.subdir.name, project
                known = here in self._known
                if (has := self._has(*here)) is False:
                    lacking[project] = None
                elif has is None and not known:
                    unasked[project] = None
        if unasked:
            self.narrator.warn(
                f"{' and '.join(channels)} cannot be asked for {', '.join(sorted(unasked))}, of "
                "which pypi_names.yaml says nothing: each is taken to be called so in conda"
            )
        if not lacking:
            return ()
        detail = f"it requires {', '.join(sorted(lacking))}, which {' and '.join(channels)} lacks"
        return (Finding(kind="dependency", detail=detail, next_step=_ROW),)

    def _has(self, channels: tuple[str, ...], subdir: str, project: str) -> bool | None:
        key = channels, subdir, project
        if key not in self._known:
            self._known[key] = None if channels in self._silent else self._ask(*key)
            if self._known[key] is None:
                self._silent.add(channels)
        return self._known[key]

    def _ask(self, channels: tuple[str, ...], subdir: str, project: str) -> bool | None:
        platforms = [RattlerSubdir(subdir), RattlerSubdir("noarch")]

        async def query() -> bool:
            found = await self.gateway.query(
                list(channels), platforms, [project], recursive=False, channel_relations="disabled"
            )
            return any(records for records in found)

        try:
            return asyncio.run(query()) if channels else None
        except (GatewayError, InvalidChannelError):
            return None
