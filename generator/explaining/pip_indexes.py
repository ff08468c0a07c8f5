"""Asks the indexes of pip what they have, within one budget of seconds; a silent one once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from generator.errors import ArmtorchError, UnreachableError
from generator.explaining.desk import Desk
from generator.transport import HttpPolicy
from generator.upstream import Offer, open_web, read_pip_configuration
from generator.upstream.indexes import FolderIndex, Index, SimpleIndex
from generator.urls import local_path, public_url

#: seconds for all of an input's questions
_BUDGET: Final = 20.0


class _Asking:
    """What pip would be told by its indexes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._indexes: dict[str, Index] = {}
        self._silent: dict[str, ArmtorchError] = {}
        self._deadline = time.monotonic() + _BUDGET

    def __call__(self, url: str, project: str) -> Sequence[Offer]:
        """Return the wheels of a project; see :class:`Index` for what is raised."""
        if url in self._silent:
            raise self._silent[url]
        if time.monotonic() > self._deadline:
            raise UnreachableError(
                f"not asked any more after {_BUDGET:.0f} s", where=project, next_step="ask again"
            )
        try:
            return self._index(url).offers(project)
        except UnreachableError as error:
            self._silent[url] = error
            raise

    def _index(self, url: str) -> Index:
        if url not in self._indexes:
            pip = read_pip_configuration(self._desk.project.environment)
            timeout = min(self._desk.options.reach.timeout, _BUDGET)
            policy = HttpPolicy(
                retries=0, timeout_seconds=timeout, ca_bundle=pip.cert, proxy=pip.proxy
            )
            address = url or pip.indexes[0]
            folder = local_path(address)
            self._indexes[url] = (
                FolderIndex("pip", folder, declared=True)
                if folder is not None
                else SimpleIndex(
                    public_url(address), address, open_web(self._desk.project.cache, policy)
                )
            )
        return self._indexes[url]


def asking(desk: Desk) -> _Asking | None:
    """Return what asks pip's indexes; None where nobody is to be asked (``--offline``)."""
    return None if desk.options.reach.offline else _Asking(desk)
