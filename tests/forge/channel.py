"""The forge's channel: built once, kept until the forge itself changes."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock
from rattler.index import index_fs

from tests.forge import archive, debian, declaration, interpreter, libraries, staging, wheels
from tests.forge.errors import ForgeError

_STAMP = ".forge.json"
Report = Callable[[str], None]


@dataclass(frozen=True)
class ForgeChannel:
    """A conda channel folder."""

    path: Path

    @property
    def url(self) -> str:
        """The address to give a solver or a client."""
        return self.path.resolve().as_uri()


def default_cache() -> Path:
    """Where debs, wheels and the built channel are kept between runs."""
    return Path(platformdirs.user_cache_dir("armtorch")) / "forge"


def ensure(
    cache: Path | None = None,
    *,
    out: Path | None = None,
    jobs: int = 2,
    report: Report = lambda _line: None,
) -> ForgeChannel:
    """Build the channel at `out` (by default in the cache) unless it is there already.

    Safe to call from several processes at once: one builds, the others wait for it.
    """
    cache = (cache or default_cache()).resolve()
    out = (out or cache / "channel").resolve()
    declared = declaration.load()
    replace_folder(out, cache, lambda folder: _build(folder, declared, cache, jobs, report), report)
    return ForgeChannel(out)


def ensure_with_cuda(
    cache: Path | None = None, *, report: Report = lambda _line: None
) -> ForgeChannel:
    """Build the channel that has NVIDIA's libraries too, unless it is there already.

    It takes 2.6 GB of downloads, 3 GB for the channel and for a moment 6 GB of scratch beside it.
    """
    cache = (cache or default_cache()).resolve()
    out = cache / "channel-with-cuda"
    declared = declaration.load_with_cuda()
    replace_folder(out, cache, lambda folder: _build(folder, declared, cache, 1, report), report)
    return ForgeChannel(out)


def replace_folder(
    out: Path, cache: Path, fill: Callable[[Path], dict[str, str]], report: Report
) -> None:
    """Fill a folder anew and put it in the place of `out`, unless `out` is up to date.

    `fill` works on a temporary folder beside `out` and returns what to note in its stamp, so
    that a killed run leaves either the old folder or the new one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if read_stamp(out).get("forge") == staging.code_digest():
            report(f"{out} is up to date")
            return
        if out.is_dir() and any(out.iterdir()) and not read_stamp(out):
            msg = f"{out} holds something the forge did not make; name another folder"
            raise ForgeError(msg)
        partial = out.with_name(f".{out.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            stamp = {"forge": staging.code_digest(), **fill(partial)}
            (partial / _STAMP).write_text(json.dumps(stamp, indent=2))
            if out.exists():
                shutil.rmtree(out)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def read_stamp(folder: Path) -> dict[str, str]:
    """What the forge noted about a folder it made; nothing for any other folder."""
    path = folder / _STAMP
    if not path.is_file():
        return {}
    stamp: dict[str, str] = json.loads(path.read_text())
    return stamp


def _build(
    folder: Path, declared: declaration.Declaration, cache: Path, jobs: int, report: Report
) -> dict[str, str]:
    start = time.monotonic()
    debs = debian.fetch(declared.debs_by_suite(), cache)
    report(f"{len(debs)} Debian packages at hand, {time.monotonic() - start:.1f} s")
    files = wheels.fetch(declared, cache)
    report(f"{len(files)} wheels at hand, {time.monotonic() - start:.1f} s")
    work = cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    staged = _stage(declared, debs, files, work, jobs)
    packages = staging.resolve(staged)
    report(f"{len(packages)} packages laid out, {time.monotonic() - start:.1f} s")
    write_channel(packages, folder, jobs)
    shutil.rmtree(work)
    size = sum(path.stat().st_size for path in folder.rglob("*.conda"))
    report(f"channel of {size / 1e6:.0f} MB written, {time.monotonic() - start:.1f} s")
    return {}


def write_channel(packages: Iterable[archive.Package], folder: Path, jobs: int) -> None:
    """Write packages and their index into an empty folder."""
    for subdir in (declaration.SUBDIR, declaration.NOARCH):
        (folder / subdir).mkdir()
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda package: archive.write(package, folder), packages))
    asyncio.run(index_fs(folder))


def _stage(
    declared: declaration.Declaration,
    debs: dict[tuple[str, str], debian.Deb],
    files: dict[str, Path],
    work: Path,
    jobs: int,
) -> list[staging.Staged]:
    """Lay out every package; nearly all the time goes into patchelf and unzipping."""
    sources = {row.wheel: files[declared.wheel(row.wheel).file]
               for row in declared.libraries if row.wheel}  # fmt: skip
    with ThreadPoolExecutor(jobs) as pool:
        tasks = [pool.submit(interpreter.stage, row, debs, work) for row in declared.pythons]
        tasks += [
            pool.submit(libraries.stage, row, debs, sources, work) for row in declared.libraries
        ]
        tasks += [pool.submit(libraries.stage_meta, row, work) for row in declared.metapackages]
        tasks += [
            pool.submit(wheels.stage, row, declared, files[row.file], work)
            for row in declared.wheels
            if row.packaged
        ]
        return [task.result() for task in tasks]
