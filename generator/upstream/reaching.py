"""Reaches what feedstock.yaml declares, over pip's proxy and certificates: indexes and wheels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from generator.building import fetch, fetch_unhashed
from generator.building.wheelhouse import K, Locate
from generator.errors import AbsentError
from generator.feedstock import Feedstock, IndexSource, Policies
from generator.model import Wheel
from generator.project import Project
from generator.transport import HttpPolicy, open_session
from generator.upstream.facts import FactsCache
from generator.upstream.indexes import Index
from generator.upstream.opening import index_called, open_index
from generator.upstream.pip_configuration import PipConfiguration, read_pip_configuration
from generator.upstream.session import Web, open_web
from generator.upstream.wheel_reader import WheelReader


@contextmanager
def reached(
    project: Project, sources: Mapping[str, IndexSource]
) -> Iterator[tuple[Web, Mapping[str, Index]]]:
    """Open indexes by their names, as pip on this machine would reach them."""
    pip = read_pip_configuration(project.environment)
    with open_web(project.cache / "http", _policy(pip)) as web:
        yield (
            web,
            {
                name: open_index(name, source, web=web, pip=pip, base=project.root)
                for name, source in sources.items()
            },
        )


def wheel_reader(project: Project, web: Web, policies: Policies) -> WheelReader:
    """Return what reads wheels from afar, with the facts that earlier runs read."""
    return WheelReader(
        web=web,
        cache=FactsCache(project.cache / "facts"),
        policies=policies,
        narrator=project.narrator,
    )


def obtain(
    project: Project, policy: HttpPolicy, url: str, filename: str, size: int
) -> tuple[str, Path]:
    """Read a whole wheel whose index promises no sha256, to where ``build`` looks for it."""
    return fetch_unhashed(
        url,
        filename,
        size,
        root=project.wheelhouse,
        narrator=project.narrator,
        connect=partial(open_session, policy, files=True),
    )


def fetch_wheels(
    project: Project, feedstock: Feedstock, wheels: Sequence[Wheel], *, jobs: int
) -> None:
    """Bring wheels into the wheelhouse, over pip's proxy and certificates.

    Raises AbsentError, UnreachableError, IntegrityError, StorageError: as ``building.fetch`` does.
    """
    if not wheels:
        return  # pip need not be asked what it is configured to use
    with wheel_locator(project, feedstock) as locate:
        fetch_kept(project, wheels, locate, jobs=jobs)


def fetch_kept(
    project: Project, files: Sequence[K], locate: Locate[K], *, jobs: int
) -> dict[str, Path]:
    """Bring files into the wheelhouse and return their paths by sha256; raises as above."""
    policy = _policy(read_pip_configuration(project.environment))
    return fetch(
        files,
        locate=locate,
        root=project.wheelhouse,
        narrator=project.narrator,
        jobs=jobs,
        connect=partial(open_session, policy, files=True),
    )


@contextmanager
def wheel_locator(project: Project, feedstock: Feedstock) -> Iterator[Callable[[Wheel], str]]:
    """Give a function that says where a wheel is to be had now.

    The same wheel means the same sha256, or, where the index promises none, the same file name;
    its bytes are checked in any case.
    """
    with reached(project, feedstock.indexes) as (_, indexes):

        def locate(wheel: Wheel) -> str:
            index = index_called(indexes, wheel.index)
            if index is None:
                raise AbsentError(
                    f"feedstock.yaml declares no index called {wheel.index!r}",
                    where=wheel.filename,
                    next_step="declare it again, or run armtorch update",
                )
            for offer in index.offers(wheel.project):
                if offer.filename == wheel.filename and offer.sha256 in (None, wheel.sha256):
                    return offer.url
            raise AbsentError(
                f"the index no longer has it with sha256 {wheel.sha256}",
                where=wheel.filename,
                next_step=f"run armtorch update, or put the file into "
                f"{project.wheelhouse / wheel.sha256[:16]}",
            )

        yield locate


def _policy(pip: PipConfiguration) -> HttpPolicy:
    return HttpPolicy(ca_bundle=pip.cert, proxy=pip.proxy)
