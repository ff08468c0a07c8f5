"""Files that a text names: found where it says, where it was copied from, or beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from generator.documents import read_bytes
from generator.errors import SelectionError, UnreachableError, UnsafeArchiveError
from generator.explaining.reading_text import decoded, refusal
from generator.transport import HttpPolicy, open_session, read_body, typed
from generator.urls import masked

#: bytes of an environment file at an address, and seconds for it
_LARGEST, _PATIENCE = 1 << 20, 20


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files around a text; ``closed`` for one from elsewhere, which means none that is here."""

    folder: Path
    #: where the person is: Dockerfiles and scripts below it name files from there on, too
    here: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False
    #: path in a container to the path beside the Dockerfile or definition
    copied: dict[str, str] = field(default_factory=dict)
    #: what the text itself writes into files
    made: dict[str, str] = field(default_factory=dict)
    #: the one environment file that stands between fences in the text
    quoted: str = ""
    #: where a container's commands run
    inside: str = ""

    def content(self, name: str) -> str:
        """Return a named file's text; raises SelectionError, for an address UnreachableError."""
        name = self.expanded(name).replace("\\", "/")
        if re.match(r"https?://", name):
            return _fetched(name)
        if name in self.made:
            return self.made[name]
        if self.closed and not self.quoted:
            raise SelectionError(
                f"the command reads {name}, which is not in this text",
                where=name,
                next_step=f"give that file: armtorch explain {PurePosixPath(name).name}",
            )
        for path in () if self.closed else self._places(name):
            if path.is_file():
                try:
                    return decoded(read_bytes(path, _LARGEST))
                except OSError as error:
                    raise _unreadable(path, error.strerror or str(error)) from error
        if self.quoted and name.endswith((".yml", ".yaml")):
            return self.quoted
        raise _unreadable(self.folder / name, "no such file")

    def beside(self, name: str) -> Files:
        """Return the files around one that a command names."""
        places = [] if self.closed or "://" in name else self._places(self.expanded(name))
        found = next((path.parent for path in places if path.is_file()), self.folder)
        return replace(self, folder=found)

    def expanded(self, text: str) -> str:
        """Put in what is known of ``$NAME``, ``${NAME:-other}``, ``$(NAME)`` and ``{NAME}``."""

        def value(match: re.Match[str]) -> str:
            name = match["name"] or match["plain"] or match["made"] or match["python"]
            name = name or match["cmd"]
            return self.variables.get(name, match["other"] or match[0])

        return re.sub(
            r"\$(?:\{(?P<name>\w+)(?::?-(?P<other>[^}]*))?\}"
            r"|(?P<plain>\w+)|\((?P<made>\w+)\))"
            r"|(?<!\$)\{\{?\s*(?P<python>\w+)\s*\}?\}|%(?P<cmd>\w+)%",
            value,
            text,
        )

    def _places(self, name: str) -> list[Path]:
        base = PurePosixPath(name).name
        full = str(PurePosixPath(self.inside) / name)
        above = str(PurePosixPath(full).parent)
        known = (self.copied.get(each) for each in (name, full, above, f"{above}/"))
        copied = next((each for each in known if each), None)
        if copied and (self.folder / copied).is_dir():
            copied = f"{copied}/{base}"
        names = [name, copied or "", base if self.copied or os.path.isabs(name) else ""]  # noqa: PTH117
        # a workflow names files from the repository's folder on
        root = [p.parent for p in (self.folder, *self.folder.parents) if p.name == ".github"]
        here = [self.here] if self.here is not None else []
        folders = (self.folder, *root[:1], *here)
        return [folder / each for folder in folders for each in names if each]


def _unreadable(path: Path, why: str) -> SelectionError:
    return SelectionError(
        f"cannot be read: {why}", where=str(path), next_step="run it in the folder of the file"
    )


def _fetched(url: str) -> str:
    try:
        policy = HttpPolicy(answer_seconds=_PATIENCE)
        with typed(url), open_session(policy) as session:
            answer = session.get(url, stream=True)
            content = read_body(answer, _LARGEST, url)
    except (UnreachableError, UnsafeArchiveError) as error:
        raise UnreachableError(
            f"the file did not come: {error.what}",
            where=masked(url),
            next_step="download it, and give the file",
        ) from error
    if not answer.ok:
        raise refusal(f"HTTP {answer.status_code}", masked(url))
    return decoded(content)
