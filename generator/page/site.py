"""Writes the page: HTML by jinja2 with everything escaped, one style sheet, one script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from generator.atomic import write_bytes, write_text
from generator.errors import StorageError
from generator.page.content import PageContent
from generator.printing import shown, shown_json

_PACKAGE: Final = Path(__file__).parents[1]
_ASSETS: Final = ("style.css", "page.js", "icon.svg")
#: left in the folder, so that a later run knows which files are its own
_LIST: Final = ".armtorch-page"
#: what may stand in it: whoever wrote the list, no file elsewhere is taken away
_OWN: Final = re.compile(r"(packages/)?[A-Za-z0-9_][A-Za-z0-9_.-]*\.html")


def write_site(content: PageContent, folder: Path) -> tuple[Path, ...]:
    """Write the page into a folder; files of an earlier run that are not needed any more go.

    Raises:
        StorageError: the folder cannot be written, or holds something else.

    """
    files = _render(content)
    listed = folder / _LIST
    if folder.is_dir() and any(folder.iterdir()) and not listed.is_file():
        raise StorageError(
            "there are other files in it",
            where=str(folder),
            next_step="name an empty folder, or one that armtorch page wrote",
        )
    before = [name for name in _listed(listed) if _OWN.fullmatch(name)]
    write_text(listed, "\n".join(sorted({*before, *files})) + "\n")
    for name, text in files.items():
        write_text(folder / name, text, durable=False)
    for name in _ASSETS:
        write_bytes(folder / name, (_templates() / name).read_bytes(), durable=False)
    for name in set(before) - files.keys():
        (folder / name).unlink(missing_ok=True)
    write_text(listed, "\n".join(sorted(files)) + "\n")
    return tuple(folder / name for name in (*files, *_ASSETS))


def _listed(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _render(content: PageContent) -> dict[str, str]:
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
    index = environment.get_template("index.html.jinja")
    package = environment.get_template("package.html.jinja")
    files = {"index.html": index.render(page=content, root="", offers_json=_offers(content))}
    for each in content.packages:
        files[f"packages/{each.name}.html"] = package.render(page=content, package=each, root="../")
    return files


def _offers(content: PageContent) -> Markup:
    """Return the offers for the script, safe inside a script element."""
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
