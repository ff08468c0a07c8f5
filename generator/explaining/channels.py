"""Asks channels for their records through rattler's gateway, and keeps apart how they failed.

The gateway reads sharded repodata (CEP 16) where a channel has it and caches what it read. Its
errors are one string; what kind of failure it was is found out by asking the channel once more,
plainly, and looking at the answer (decision D7).
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from rattler import Channel, ChannelConfig, Config, RepoDataRecord
from rattler.exceptions import GatewayError, InvalidChannelError
from rattler.networking.client import Client
from rattler.repo_data.gateway import Gateway, GatewayQueryResult

from generator.atomic import on_disk
from generator.errors import SelectionError, UnreachableError
from generator.explaining.condarc import Condarc
from generator.explaining.facts import facts
from generator.rattler_names import RattlerSubdir
from generator.transport import HttpPolicy, open_session, typed
from generator.transport.gateway import open_client, open_gateway, storage
from generator.urls import local_path, public_url

#: conda's default for names without a host (conda config channel_alias)
ALIAS: Final = "https://conda.anaconda.org"
#: seconds for one answer
TIMEOUT: Final = 20
#: what tells nothing of a channel: a proxy's login, too slow, too many (RFC 9110, RFC 6585)
_NOT_NOW: Final = frozenset({407, 408, 425, 429})
#: how rattler says that the cache, which alone it may use, has no shard of a package
_UNCACHED: Final = "is not in the cache"
#: ``denied``: its client does not ask it, by configuration or for want of an accepted licence
State = Literal["answered", "cached", "absent", "unreachable", "malformed", "denied"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One channel of a request, and how it answered."""

    #: as the person calls it
    name: str
    url: str
    state: State = "answered"
    #: what was seen, for all but ``answered``
    detail: str = ""
    #: days since it last answered, for ``cached``
    age_days: float | None = None

    @property
    def usable(self) -> bool:
        """Whether there are records to look at."""
        return self.state in {"answered", "cached"}


@dataclass(frozen=True, kw_only=True)
class Access:
    """How channels are reached."""

    #: where repodata is cached between runs
    cache: Path
    alias: str = ALIAS
    #: whether that stands for conda's own host in addresses, too
    mirrors: bool = False
    #: use cached data alone
    offline: bool = False
    timeout: int = TIMEOUT
    #: the person's own configuration: addresses, groups, proxies, what is not to be asked
    condarc: Condarc = field(default_factory=Condarc)


class Channels:
    """Records of channels by name and subdir; asked for once, then kept."""

    def __init__(self, access: Access) -> None:
        self._access = access
        _one_heap()
        # a client takes longer to make than most explanations
        self._client = _client(access)
        self._online = self._gateway("force-cache-only" if access.offline else "cache-or-fetch")
        self._cached = self._gateway("force-cache-only")
        self._sources: dict[tuple[str, str], Asked] = {}
        self._records: dict[tuple[str, str, str], tuple[RepoDataRecord, ...]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def _gateway(self, action: Literal["cache-or-fetch", "force-cache-only"]) -> Gateway:
        with on_disk("the cache cannot be made", self._access.cache):
            self._access.cache.mkdir(parents=True, exist_ok=True)
        return open_gateway(cache=self._access.cache, action=action, client=self._client)

    def gateway(self, source: Asked) -> Gateway:
        """Return the gateway that has the records of a usable source."""
        return self._cached if source.state == "cached" else self._online

    def urls(self, name: str) -> tuple[str, ...]:
        """Return the address of a channel, several for ``defaults``; raises SelectionError.

        The rules are conda's (docs, "Managing channels"; conda/models/channel.py): groups first,
        then custom channels, then the alias.
        """
        condarc = self._access.condarc
        group = condarc.groups.get(name) or (
            (condarc.default_channels if name == "defaults" else None)
            or facts().multichannels.get(name)
        )
        if group is not None:
            return tuple(url for each in group if each != name for url in self.urls(each))
        if self._access.mirrors:
            name = name.removeprefix(f"{ALIAS}/").rstrip("/")
        base, _, rest = name.partition("/")
        for custom in (name, base) if "://" not in name else ():
            if custom in condarc.custom:
                below = f"{condarc.custom[custom]}/{custom}"
                return (f"{below}/{rest}/" if rest and custom == base else f"{below}/",)
        try:
            return (str(Channel(name, ChannelConfig(f"{self._access.alias}/")).base_url),)
        except InvalidChannelError as error:
            raise SelectionError(
                f"not a channel: {error}",
                where=name,
                next_step="write a name (conda-forge), a URL or a folder after -c",
            ) from error

    def open(self, names: Iterable[str], subdir: str) -> tuple[Asked, ...]:
        """Ask each channel whether it is there, which its state says; raises SelectionError."""
        found = []
        for name in names:
            for url in self.urls(name):
                if why := self._denied(name, url):
                    found.append(Asked(name=name, url=url, state="denied", detail=why))
                    continue
                if (source := self._sources.get((url, subdir))) is None:
                    source = self._sources[url, subdir] = self._open(name, url, subdir)
                found.append(source)
        return tuple({source.url: source for source in found}.values())

    def give_up_cached(self, lacks: str) -> bool:
        """Count channels that are known from the cache alone as silent; return whether any was.

        Of a channel in shards (CEP 16) the cache has the packages that were asked for before:
        ``lacks`` says which one it has not, and what it has of others decides nothing.
        """
        cached = {key: each for key, each in self._sources.items() if each.state == "cached"}
        self._sources |= {
            key: replace(each, state="unreachable", detail=f"{each.detail}, and {lacks}")
            for key, each in cached.items()
        }
        return bool(cached)

    def _denied(self, name: str, url: str) -> str:
        """Return why the person's configuration does not let a channel be asked (conda's lists)."""
        condarc = self._access.condarc

        def among(names: Iterable[str]) -> bool:
            known = {part.rstrip("/") for each in names for part in (each, *self.urls(each))}
            return name in known or url.rstrip("/") in known

        if among(condarc.denied):
            return "denylist_channels of the .condarc has it"
        if condarc.allowed and not among(condarc.allowed):
            return "it is not among allowlist_channels of the .condarc"
        return ""

    def records(self, source: Asked, subdirs: Sequence[str], name: str) -> list[RepoDataRecord]:
        """Return what a usable channel has under a name; [] where it has no such subdir."""
        missing = [each for each in subdirs if (source.url, each, name) not in self._records]
        if missing:
            self._take(source, missing, [name])
        return _flat(self._records[source.url, subdir, name] for subdir in subdirs)

    def fetch(self, source: Asked, subdirs: Sequence[str], names: Sequence[str]) -> None:
        """Ask for several names at once, which takes less than one after the other."""
        for subdir in subdirs:
            missing = [each for each in names if (source.url, subdir, each) not in self._records]
            # what the cache lacks of one name says nothing of the others
            if missing[1:] and source.state != "cached":
                self._take(source, [subdir], missing)

    def _take(self, source: Asked, subdirs: Sequence[str], names: Sequence[str]) -> None:
        for subdir, found in zip(subdirs, self._query(source, subdirs, names), strict=True):
            for name in names:
                self._records[source.url, subdir, name] = ()
            for record in found:
                key = (source.url, subdir, record.name.normalized)
                self._records[key] = (*self._records[key], record)

    def names(self, source: Asked, subdirs: Sequence[str]) -> tuple[str, ...]:
        """Return every package name of a usable channel."""
        key = (source.url, *subdirs)
        if key not in self._names:
            platforms = [RattlerSubdir(subdir) for subdir in subdirs]
            try:
                found = asyncio.run(self.gateway(source).names([source.url], platforms))
            except GatewayError:
                return ()
            self._names[key] = tuple(name.normalized for name in found)
        return self._names[key]

    def _query(
        self, source: Asked, subdirs: Sequence[str], names: Sequence[str]
    ) -> list[tuple[RepoDataRecord, ...]]:
        """Return the records per subdir, which are asked for at once.

        A subdir that a channel cannot give now counts as one without any: whether the machine's
        own subdir and noarch answer was found out in `open`.
        """
        gateway = self.gateway(source)

        async def ask() -> list[GatewayQueryResult | BaseException]:
            asked = (_asked(gateway, source.url, [subdir], names) for subdir in subdirs)
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(ask())
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, GatewayError):
                raise answer
            if source.state == "cached" and _UNCACHED in str(answer):
                raise UnreachableError(str(answer).splitlines()[0], where=source.name)
        return [() if isinstance(a, BaseException) else tuple(_flat(a)) for a in answers]

    def _open(self, name: str, url: str, subdir: str) -> Asked:
        note = self._access.cache / f"answered-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        found, places = Asked(name=name, url=url), [subdir, "noarch"]
        try:
            asyncio.run(_asked(self._online, url, places, ["python"]))
        except GatewayError as error:
            state, detail = self._outcome(url, subdir, str(error).splitlines()[0])
            if state != "absent" and local_path(url) is None:
                with suppress(GatewayError):
                    asyncio.run(_asked(self._cached, url, places, ["python"]))
                    return replace(found, state="cached", detail=detail, age_days=_age(note))
            return replace(found, state=state, detail=detail)
        if self._access.offline and local_path(url) is None:
            return replace(found, state="cached", detail="offline", age_days=_age(note))
        note.touch()
        _give_back(self._access.cache)
        return found

    def _outcome(self, url: str, subdir: str, said: str) -> tuple[State, str]:
        """Find out which of the three it is by asking for the file every channel has (CEP 26)."""
        if (folder := local_path(url)) is not None:
            if not (folder / "noarch" / "repodata.json").is_file():
                return "absent", f"no noarch/repodata.json in {folder}"
            return "malformed", said
        if self._access.offline:
            return "unreachable", "nothing of it is cached, and --offline was asked for"
        try:
            statuses = [self._status(f"{url}{place}/repodata.json") for place in ("noarch", subdir)]
        except UnreachableError as error:
            return "unreachable", f"{error.what} at {public_url(url)}"
        return _meaning(statuses, said)

    def _status(self, address: str) -> int:
        condarc = self._access.condarc
        policy = HttpPolicy(answer_seconds=self._access.timeout)
        with (
            typed(address),
            open_session(policy) as session,
            session.get(
                address, stream=True, proxies=dict(condarc.proxies), verify=condarc.verify
            ) as answer,
        ):
            return answer.status_code


def _one_heap() -> None:
    """Have freed memory used again by all threads, which takes 140 MiB off a large channel's solve.

    glibc gives each of rattler's threads a heap of its own (mallopt(3), M_ARENA_MAX).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-8, 1)


def _give_back(cache: Path) -> None:
    """Give back the pages of repodata that was read through for its names: 230 MiB of a large one.

    rattler maps the file, and reads again what it needs of it (madvise(2), MADV_DONTNEED).
    """
    maps = Path("/proc/self/maps")
    for line in maps.read_text().splitlines() if maps.exists() else ():
        span, *_, file = line.split(maxsplit=5)
        if file.startswith(str(cache.resolve())) and file.endswith(".json"):
            begin, end = (int(each, 16) for each in span.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), 4)


def _client(access: Access) -> Client:
    """Make rattler's client, with the proxies of the person's conda (conda docs, proxy_servers)."""
    condarc = access.condarc
    lines = ["tls-no-verify = true"] if condarc.verify is False else []
    proxies = {key: url for key, url in condarc.proxies.items() if key in {"http", "https"}}
    if proxies:
        lines += ["[proxy-config]", *(f"{key} = {json.dumps(url)}" for key, url in proxies.items())]
    if not lines:
        return open_client(access.timeout)
    config = Config.from_toml("\n".join(lines))
    with storage():
        return Client.from_config(config, max_retries=0, timeout=access.timeout)


def _meaning(statuses: Sequence[int], said: str) -> tuple[State, str]:
    """Tell the outcomes apart by the HTTP status of noarch, which every channel has, and subdir."""
    if any(status in _NOT_NOW or status >= 500 for status in statuses):
        proxy = ": the proxy asks for a login" if 407 in statuses else ""
        return "unreachable", f"HTTP {max(statuses)}{proxy}"
    if statuses[0] >= 400:
        login = ": it does not exist or asks for a login" if statuses[0] in {401, 403} else ""
        return "absent", f"HTTP {statuses[0]} for noarch/repodata.json{login}"
    return "malformed", said


async def _asked(
    gateway: Gateway, url: str, subdirs: Sequence[str], names: Sequence[str]
) -> GatewayQueryResult:
    platforms = [RattlerSubdir(subdir) for subdir in subdirs]
    return await gateway.query(
        [url], platforms, list(names), recursive=False, channel_relations="disabled"
    )


def _flat(lists: Iterable[Iterable[RepoDataRecord]]) -> list[RepoDataRecord]:
    return [record for records in lists for record in records]


def _age(note: Path) -> float:
    """Return days."""
    try:
        return round((time.time() - note.stat().st_mtime) / 86400, 1)
    except OSError:
        return 0.0
