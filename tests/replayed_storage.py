"""GitHub's caches and artifacts of a repository, as folders."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.replayed_rules import rule

_DAY = 86400


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@dataclass
class Caches:
    """One folder a cache: ``<branch>/<key>``; its time is when it was last used."""

    folder: Path
    limit: int = field(default_factory=lambda: int(rule("cache_bytes")))
    #: what the clock says
    clock: Callable[[], float] = time.time
    _uses: int = 0

    @property
    def all(self) -> list[Path]:
        """Every cache, the one that was used last at the end."""
        return sorted(self.folder.glob("*/*"), key=lambda path: path.stat().st_mtime)

    @property
    def keys(self) -> set[str]:
        """The keys of all caches."""
        return {path.name for path in self.all}

    def restore(
        self, key: str, prefixes: Iterable[str], scopes: Sequence[str], into: Sequence[Path]
    ) -> bool:
        """Put a cache into place; whether it was the one of the key itself."""
        self._forget()
        for scope in scopes:
            seen = [path for path in self.all if path.parent.name == quote(scope, safe="")]
            exact = [path for path in seen if path.name == quote(key, safe="")]
            wanted = [quote(each, safe="") for each in prefixes]
            close = [path for path in reversed(seen) if path.name.startswith(tuple(wanted))]
            for path in [*exact, *close][:1]:
                for number, folder in enumerate(into):
                    if (path / str(number)).is_dir():
                        shutil.copytree(path / str(number), folder, dirs_exist_ok=True)
                self._use(path)
                return bool(exact)
        return False

    def save(self, key: str, scope: str, folders: Sequence[Path]) -> None:
        """Keep folders; a key that is taken stays what it is, and what is too much goes."""
        target = self.folder / quote(scope, safe="") / quote(key, safe="")
        if target.exists() or not any(folder.is_dir() for folder in folders):
            return
        for number, folder in enumerate(folders):
            if folder.is_dir():
                shutil.copytree(folder, target / str(number))
        self._use(target)
        while sum(map(size, self.all)) > self.limit:
            shutil.rmtree(self.all[0])

    def _use(self, path: Path) -> None:
        self._uses += 1
        now = self.clock() + self._uses / 1000
        os.utime(path, (now, now))

    def _forget(self) -> None:
        oldest = self.clock() - rule("cache_days") * _DAY
        for path in self.all:
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path)


@dataclass
class Artifacts:
    """One folder an artifact, all of one run."""

    folder: Path
    #: bytes that all runs gave
    given: int = 0
    #: names that this attempt of the run gave: `overwrite` is for another attempt, and would hide
    #: that two jobs give the same name
    _named: set[str] = field(default_factory=set)

    def start_run(self) -> None:
        """Begin as GitHub does: a run has artifacts of its own."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.start_attempt()

    def start_attempt(self) -> None:
        """Begin to do jobs of the run again; what the others gave stays."""
        self._named.clear()

    def upload(self, name: str, root: Path, files: Iterable[Path], *, overwrite: bool) -> None:
        """Keep files by their paths below a folder."""
        target = self.folder / name
        assert name not in self._named, f"two jobs give {name}"
        assert overwrite or not target.exists(), f"409: there is an artifact {name}"
        self._named.add(name)
        shutil.rmtree(target, ignore_errors=True)
        for path in sorted(files):
            own = target / path.relative_to(root)
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, own)
        self.given += size(target)
