"""The wheelhouse: verified upstream wheels, by sha256, shared by every feedstock of a machine.

Layout: ``<root>/<first 16 of the sha256>/<file name>``, with ``.part`` beside it while a download
is under way, and ``.verified`` with the size and time that the sha256 was checked for.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Final, Protocol, TypeVar

import requests
from filelock import FileLock

from generator.atomic import on_disk, write_text
from generator.building.download import BLOCK, Fetching, Wanted, download
from generator.building.policy import FetchPolicy, policy
from generator.console import Narrator, Task
from generator.documents import load_json, read_bytes
from generator.errors import AbsentError, IntegrityError, MalformedError, StorageError
from generator.model import Wheel
from generator.transport import open_session
from generator.urls import local_path


class Kept(Wanted, Protocol):
    """A file that may lie in the wheelhouse: a Wheel, or what a base is made of."""

    @property
    def sha256(self) -> str:
        """What its bytes must have."""


K = TypeVar("K", bound=Kept)
#: where a file is to be had: a URL, or the path of a file
Locate = Callable[[K], str]
#: bytes of a note at most
_NOTE: Final = 1 << 16
#: kept free beside the wheels themselves
_RESERVE: Final = 64 << 20
_ADVICE: Final = "check permissions and free space of the wheelhouse"


def _connect() -> requests.Session:
    return open_session(files=True)


def place_of(wheel: Kept, root: Path) -> Path:
    """Return where ``wheel`` belongs in the wheelhouse, there or not."""
    return root / wheel.sha256[:16] / wheel.filename


def fetch(
    wheels: Iterable[K],
    *,
    locate: Locate[K],
    root: Path,
    narrator: Narrator,
    jobs: int,
    rehash: bool = False,
    rules: FetchPolicy | None = None,
    connect: Callable[[], requests.Session] = _connect,
) -> dict[str, Path]:
    """Bring every wheel into the wheelhouse and return its path by sha256.

    ``locate`` gives the URL or local path of a wheel, and is asked only for what is missing; of
    repeats one is fetched. Several processes may fetch into one ``root``. ``rehash`` computes the
    sha256 of wheels that were verified before, too. ``connect`` opens a session with the proxies
    and certificates of this machine.
    Raises AbsentError: the index answers that it does not have the file. UnreachableError: the
    index does not answer, or breaks off again and again. IntegrityError: the bytes are not those of
    the sha256; nothing is kept. StorageError: no space, or a folder that cannot be written.
    """
    needed = {wheel.sha256: wheel for wheel in wheels}
    with on_disk("the wheelhouse cannot be written", root, _ADVICE, inside=True):
        missing = [w for w in needed.values() if rehash or not _is_noted(place_of(w, root), w)]
        if missing:
            _fetch_all(
                missing,
                locate,
                root,
                narrator=narrator,
                jobs=jobs,
                rules=rules or policy().fetch,
                connect=connect,
            )
    return {sha256: place_of(wheel, root) for sha256, wheel in needed.items()}


@dataclass(frozen=True)
class _Unhashed:
    """A file whose sha256 nobody knows yet."""

    filename: str
    size: int
    sha256: None = None


def fetch_unhashed(
    url: str,
    filename: str,
    size: int,
    *,
    root: Path,
    narrator: Narrator,
    rules: FetchPolicy | None = None,
    connect: Callable[[], requests.Session] = _connect,
) -> tuple[str, Path]:
    """Bring a file whose index promises no sha256 into the wheelhouse; return sha256 and path.

    ``size`` is what its server says now; ``rules`` and ``connect`` are as for `fetch`.
    Raises AbsentError, UnreachableError: as :func:`fetch` does. IntegrityError: it is longer than
    ``size``. StorageError: no space, or a folder that cannot be written.
    """
    wanted = _Unhashed(filename, size)
    # one folder per URL, so that a download that broke off is found again
    folder = root / "unhashed" / hashlib.sha256(url.encode()).hexdigest()[:16]
    target = folder / filename
    with on_disk("the wheelhouse cannot be written", root, _ADVICE, inside=True):
        _require_bytes(root, size + _RESERVE)
        folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(target.with_name(target.name + ".lock")),
            narrator.task(f"fetching {filename}", total=size, unit="bytes") as task,
        ):
            source = Fetching(rules or policy().fetch, Event(), narrator, task, connect)
            sha256 = download(url, wanted, target, source)
            place = root / sha256[:16] / filename
            place.parent.mkdir(parents=True, exist_ok=True)
            target.replace(place)
            _remember(place, sha256)
    return sha256, place


def _fetch_all(
    missing: list[K],
    locate: Locate[K],
    root: Path,
    *,
    narrator: Narrator,
    jobs: int,
    rules: FetchPolicy,
    connect: Callable[[], requests.Session],
) -> None:
    total = sum(wheel.size for wheel in missing)
    _require_space(root, missing)
    # here and not in the threads: an index may be asked, and what is nowhere is known at once
    places = [(wheel, locate(wheel)) for wheel in missing]
    stop = Event()
    with (
        narrator.task(f"fetching {len(missing)} files", total=total, unit="bytes") as task,
        ThreadPoolExecutor(max(1, jobs)) as pool,
    ):
        source = Fetching(rules, stop, narrator, task, connect)
        pending = [
            pool.submit(_fetch_one, wheel, where, place_of(wheel, root), source)
            for wheel, where in places
        ]
        try:
            for future in pending:
                future.result()
        except BaseException:  # also Ctrl-C: the others stop at their next block and keep .part
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(wheel: Kept, where: str, target: Path, source: Fetching) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock")):
        if target.is_file():  # put there by another process, by hand, or to be hashed again
            if _is_wheel(target, wheel):
                source.task.advance(wheel.size)
                _remember(target, wheel.sha256)
                return
            source.narrator.warn(f"{target} is damaged; it is fetched anew")
            target.unlink()
        if (path := local_path(where)) is not None:
            _copy(path, wheel, target, source.task)
        elif "://" in where:
            download(where, wheel, target, source)
        else:
            _copy(Path(where), wheel, target, source.task)
        _remember(target, wheel.sha256)


def _copy(file: Path, wheel: Kept, target: Path, task: Task) -> None:
    """Take a wheel from a local folder, verified while it is copied."""
    if not file.is_file():
        raise AbsentError(
            "there is no such file",
            where=str(file),
            next_step="put the wheel there, or run `armtorch update`",
        )
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    with file.open("rb") as source, part.open("wb") as output:
        while block := source.read(BLOCK):
            digest.update(block)
            output.write(block)
            task.advance(len(block))
    if digest.hexdigest() != wheel.sha256:
        part.unlink()
        raise IntegrityError(
            f"sha256 is {digest.hexdigest()}, the lock has {wheel.sha256}",
            where=str(file),
            next_step="replace the file by the one that was locked, or run `armtorch update`",
        )
    part.replace(target)


def _is_noted(path: Path, wheel: Kept) -> bool:
    """Whether ``path`` was verified before, and has had the same size and time since."""
    try:
        note = load_json(read_bytes(_note(path), _NOTE), str(_note(path)))
        return bool(note == _state(path, wheel.sha256))
    except (OSError, MalformedError):
        return False


def _is_wheel(path: Path, wheel: Kept) -> bool:
    if path.stat().st_size != wheel.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256


def _state(path: Path, sha256: str) -> dict[str, object]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": sha256}


def _remember(path: Path, sha256: str) -> None:
    write_text(_note(path), json.dumps(_state(path, sha256)), durable=False)


def forget(path: Path) -> None:
    """Forget that a wheel was verified, so that the next fetch reads all of it."""
    _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _require_space(root: Path, missing: Sequence[Kept]) -> None:
    """Refuse beforehand what cannot fit; what ``.part`` files already hold is not needed again."""
    needed = _RESERVE
    for wheel in missing:
        target = place_of(wheel, root)
        for file in (target, target.with_name(target.name + ".part")):
            if file.is_file():
                needed -= file.stat().st_size
        needed += wheel.size
    _require_bytes(root, needed)


def _require_bytes(root: Path, needed: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise StorageError(
            f"{needed / 1e6:.0f} MB are needed for the wheels, {free / 1e6:.0f} MB are free",
            where=str(root),
            next_step="free some space, or choose another wheelhouse folder",
        )


def link_wheelhouse(repo: Path, root: Path, wheels: Iterable[Wheel]) -> Path:
    """Make ``<repo>/wheelhouse``, where recipes look for their wheels, show the wheelhouse.

    A relative path from recipe to wheel keeps the machine out of the recipe (decision D1). Where
    links are not allowed (Windows), or a real folder of that name exists, the wheels are put into
    it: as hard links where that works, else as copies.
    Raises StorageError: the folder cannot be written.
    """
    link = repo / "wheelhouse"
    with on_disk("the wheels cannot be laid beside the recipes", link, "make the folder writable"):
        root.mkdir(parents=True, exist_ok=True)
        if link.is_symlink() or not link.exists():
            if _symlink(link, root):
                return link
            link.mkdir(exist_ok=True)
        for wheel in wheels:
            _bring(place_of(wheel, root), place_of(wheel, link))
    return link


def _symlink(link: Path, root: Path) -> bool:
    if link.is_symlink() and link.readlink() == root.resolve():
        return True
    folder = Path(mkdtemp(prefix=".wheelhouse-", dir=link.parent))
    try:
        (folder / "link").symlink_to(root.resolve(), target_is_directory=True)
        (folder / "link").replace(link)
    except OSError:
        if link.is_symlink() or not link.parent.is_dir():
            raise
        return False
    finally:
        shutil.rmtree(folder)
    return True


def _bring(source: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        part.hardlink_to(source)
    except OSError:
        shutil.copy2(source, part)
    part.replace(target)
