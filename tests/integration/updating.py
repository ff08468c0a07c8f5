"""What the tests of update share: a feedstock, an index of tiny wheels, and one run of update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from generator.building import fetch_unhashed
from generator.building.policy import FetchPolicy
from generator.console import Silent
from generator.datafiles import subdirs
from generator.feedstock import Feedstock, IndexSource, Line, SubdirWish, TrainPolicy
from generator.model import Lock, Pythons
from generator.transport import HttpPolicy
from generator.updating import Judge, Outcome, update
from generator.upstream import (
    FactsCache,
    Offer,
    PipConfiguration,
    Web,
    WheelReader,
    open_index,
    open_web,
)
from generator.upstream.policy import TrioPolicy, trio_policy
from tests.index_server import IndexServer
from tests.tiny_wheels import TinyWheel, tiny_companion, tiny_torch

#: patience of a test: the same code, shorter waits between tries
QUICK = HttpPolicy(retries=2, backoff_seconds=0.01, retry_after_max=2)
TODAY = "2026-11-22"
CUDA = ("filelock", 'cuda-toolkit[cudart]=={}; platform_system == "Linux"')


@dataclass
class Heard(Silent):
    """A narrator that remembers."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def feedstock(source: IndexSource | None = None, **changes: object) -> Feedstock:
    """linux-aarch64 for CPU and CUDA, from one index."""
    plain = Feedstock(
        channel="c",
        maintainers=("m",),
        indexes={"pypi": source or IndexSource(kind="pip")},
        trains={"stable": TrainPolicy()},
        subdirs={"linux-aarch64": SubdirWish(accelerators=("cpu", "cuda"))},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def legacy(torch: str = "==2.8.*", python: str = "3.9") -> Line:
    """A line of its own, as feedstock.yaml has it."""

    return Line(
        name="legacy",
        torch=torch,
        subdirs=("linux-aarch64",),
        accelerators=("cpu",),
        pythons=Pythons.parse([python]),
    )


def upstream_of_2026(folder: Path) -> None:
    """Tiny twins of what PyPI had: CPU up to 2.10, CUDA after it, torchaudio silent at the end."""
    for abi in ("cp311", "cp312", "cp313t"):
        tiny_torch("2.10.0", abi).write(folder)
        for project, version in (("torchvision", "0.25.0"), ("torchaudio", "2.10.0")):
            tiny_companion(project, version, abi, torch="torch==2.10.0").write(folder)
        for version, cuda in (("2.14.1", "13.0.3"), ("2.15.0", "13.2.2")):
            tiny_torch(version, abi, requires=[text.format(cuda) for text in CUDA]).write(folder)
    for abi in ("cp311", "cp312"):
        tiny_companion("torchaudio", "2.11.0", abi, torch=None).write(folder)
    tiny_companion("torchvision", "0.29.2", "py3", torch="torch>=2.14.0").write(folder)


@contextmanager
def opened(cache: Path, policy: HttpPolicy = QUICK) -> Iterator[Web]:
    """Sessions with a test's patience."""
    with open_web(cache / "http", policy) as web:
        yield web


def reader_of(web: Web, cache: Path, heard: Heard | None = None) -> WheelReader:
    """A reader with the feedstock's default limits."""
    return WheelReader(
        web=web,
        cache=FactsCache(cache / "facts"),
        policies=feedstock().policies,
        narrator=heard or Heard(),
    )


def run_update(
    server: IndexServer | None,
    cache: Path,
    *,
    old: Lock | None = None,
    asked: Feedstock | None = None,
    heard: Heard | None = None,
    policy: HttpPolicy = QUICK,
    urls: Mapping[str, str] | None = None,
    today: str = TODAY,
    trios: TrioPolicy | None = None,
    judge: Callable[[WheelReader], Judge] | None = None,
    judges: Iterable[Judge] = (),
) -> Outcome:
    """One `armtorch update` whose pip is configured to use ``server``."""
    asked = asked or feedstock()
    trios = trios or without_patch()
    heard = heard or Heard()
    pip = PipConfiguration(indexes=(server.url if server else (urls or {})["pip"],))
    with opened(cache, policy) as web:
        reader = reader_of(web, cache, heard)
        return update(
            asked,
            old or Lock(),
            reader=reader,
            indexes={
                name: open_index(name, source, web=web, pip=pip, base=cache)
                for name, source in asked.indexes.items()
            },
            subdirs=subdirs(),
            narrator=heard,
            policy=trios,
            obtain=partial(obtain, cache / "wheelhouse"),
            today=today,
            judges=(*judges, *(() if judge is None else (judge(reader),))),
        )


def without_patch() -> TrioPolicy:
    """The policy of torchaudio as upstream ships it: for CUDA 13.0 and no other.

    So the newest release has no complete trio, which is what much of `update` is about.
    """
    known = trio_policy()
    rows = tuple(
        replace(row, cuda="==13.0") if row.project == "torchaudio" and row.cuda else row
        for row in known.companions
    )
    return replace(known, companions=rows)


def obtain(root: Path, url: str, filename: str, size: int) -> tuple[str, Path]:
    """Read a whole file into a wheelhouse, with a test's patience."""
    return fetch_unhashed(
        url,
        filename,
        size,
        root=root,
        narrator=Heard(),
        rules=FetchPolicy(
            attempts=2, first_delay=0.01, longest_delay=0.02, longest_pause=2, progress=1
        ),
    )


def offer_of(server: IndexServer, wheel: TinyWheel, cache: Path) -> Offer:
    """The offer of one wheel, as the server's index gives it."""
    with opened(cache) as web:
        index = open_index(
            "pypi",
            IndexSource(kind="simple", url=server.url),
            web=web,
            pip=PipConfiguration(indexes=()),
            base=cache,
        )
        return next(o for o in index.offers(wheel.project) if o.filename == wheel.filename)


def first_lock(folder: Path, cache: Path, **asked: object) -> Lock:
    with IndexServer(folder) as server:
        outcome = run_update(server, cache, asked=feedstock(**asked))  # type: ignore[arg-type]
    assert outcome.findings == ()
    return outcome.lock
