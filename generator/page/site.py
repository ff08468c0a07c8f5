"""Writes the page: HTML by jinja2 with everything escaped, one style sheet, one script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from generator.atomic import on_disk, write_bytes, write_text
from generator.errors import StorageError
from generator.page.content import PackagePage, PageContent
from generator.printing import shown, shown_json

_PACKAGE: Final = Path(__file__).parents[1]
_ASSETS: Final = ("style.css", "page.js", "icon.svg")
#: left in the folder, so that a later run knows which files are its own
_LIST: Final = ".armtorch-page"
#: what may stand in it: whoever wrote the list, no file elsewhere is taken away
_OWN: Final = re.compile(r"(packages/)?[A-Za-z0-9_][A-Za-z0-9_.-]*\.html")


class Site:
    """The folder that the page is written into; files of an earlier run that are not needed go."""

    def __init__(self, folder: Path, *, channel: str, train_names: dict[str, str]) -> None:
        """Take a folder; StorageError where it holds something else."""
        self._folder, self._list = folder, folder / _LIST
        self._known = {"channel": channel, "train_names": train_names}
        if folder.is_dir() and any(folder.iterdir()) and not self._list.is_file():
            raise StorageError(
                "there are other files in it",
                where=str(folder),
                next_step="name an empty folder, or one that armtorch page wrote",
            )
        self._before = {name for name in _listed(self._list) if _OWN.fullmatch(name)}
        self._written: list[str] = []
        self._environment = _environment()
        self._package = self._environment.get_template("package.html.jinja")

    def write_package(self, package: PackagePage) -> None:
        """Write the page of one package."""
        self._write(
            f"packages/{package.name}.html",
            self._package.render(
                **self._known, updated=package.updated, package=package, root="../"
            ),
        )

    def write_front(self, content: PageContent) -> None:
        """Write the front page, after those of the packages, and take away what is left over."""
        front = self._environment.get_template("index.html.jinja").render(
            **self._known,
            updated=content.updated,
            page=content,
            root="",
            offers_json=_offers(content),
        )
        self._write("index.html", front)
        for name in _ASSETS:
            write_bytes(self._folder / name, (_templates() / name).read_bytes(), durable=False)
        for name in self._before.difference(self._written):
            (self._folder / name).unlink(missing_ok=True)
        write_text(self._list, "\n".join(sorted(self._written)) + "\n")

    def _write(self, name: str, text: str) -> None:
        if name not in self._before:
            # before the file is there, so that a run after one that was killed knows it
            self._before.add(name)
            self._note(name)
        self._written.append(name)
        write_text(self._folder / name, text, durable=False)

    def _note(self, name: str) -> None:
        with on_disk("cannot be written", self._list):
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._list.open("a", encoding="utf-8", newline="\n") as file:
                file.write(f"{name}\n")


def _listed(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # escaped for HTML after that; a Markup is ours
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    environment.filters["size"] = size_text
    return environment


def _offers(content: PageContent) -> Markup:
    rows = [
        {
            "machine": offer.machine,
            "accelerator": offer.accelerator,
            "train": offer.train,
            "python": offer.python,
            "commands": offer.commands,
        }
        for offer in content.offers
    ]
    return Markup(shown_json(str(htmlsafe_json_dumps(rows))))  # noqa: S704 - escaped before


def size_text(amount: int) -> str:
    """Return bytes as people read them.

    >>> size_text(3_400), size_text(80_947_813), size_text(3_221_225_472)
    ('3.4 kB', '80.9 MB', '3.2 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount} B"


def _templates() -> Path:
    inside = _PACKAGE / "templates"
    return (inside if inside.is_dir() else _PACKAGE.parent / "templates") / "page"
