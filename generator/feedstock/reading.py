"""Reads feedstock.yaml: validation against the declaration, with "perhaps you meant"."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from generator.datafiles import place_of
from generator.documents import limits, line_of, load_yaml, read_bytes
from generator.errors import FeedstockError, SelectionError
from generator.feedstock.declaration import Feedstock, IndexSource, SubdirName
from generator.model.wheel import ProjectName
from generator.packages import packages, unbound

_ADAPTER = TypeAdapter(Feedstock)
#: says where in the file a value stands
_At = Callable[..., str]
#: characters of a wrong value that a message shows
_SHOWN = 80
_ROW = "write the row in data/packages.yaml beside feedstock.yaml: docs/companions.md"
_NEXT = (
    "mend feedstock.yaml; its schema is docs/feedstock.schema.json, in a channel's own repository "
    ".ci/armtorch/feedstock.schema.json"
)


def read_feedstock(path: Path) -> Feedstock:
    """Read and validate a feedstock.yaml.

    Raises FeedstockError: it is missing, or as `parse_feedstock` says.
    """
    try:
        content = read_bytes(path, limits().yaml.bytes)
    except FileNotFoundError as error:
        raise FeedstockError(
            "there is no such file",
            where=str(path),
            next_step="begin one with armtorch init, run armtorch in the folder of a feedstock, or "
            "name it with --feedstock",
        ) from error
    except OSError as error:
        raise FeedstockError(
            f"cannot be read: {error}", where=str(path), next_step=_NEXT
        ) from error
    return parse_feedstock(content, str(path))


def parse_feedstock(content: bytes, where: str) -> Feedstock:
    """Validate the text of a feedstock.yaml.

    Raises FeedstockError: it is not YAML, has an unknown key, a wrong type or an unknown value, or
    names an index that it does not declare.
    """
    raw = load_yaml(content, where, refuse=FeedstockError, next_step=_NEXT)
    try:
        feedstock = _ADAPTER.validate_python(raw)
    except ValidationError as error:
        rows = error.errors(include_url=False)
        # of a list or the one word that may stand for it, the list is what was meant
        rows = [row for row in rows if row["type"] != "literal_error" or not _is_of(row, rows)]
        found = "; ".join(
            f"line {line_of(content, row['loc'])}: {_explain(row, raw)}" for row in rows
        )
        raise FeedstockError(found, where=where, next_step=_NEXT) from error
    _check_references(feedstock, lambda *place: f"{where}, line {line_of(content, place)}")
    return feedstock


def schema_text() -> str:
    """Return the JSON Schema of feedstock.yaml as it is committed, for editors and CI."""
    schema = _ADAPTER.json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def refuse_unknown_indexes(names: Sequence[str], indexes: Iterable[str]) -> None:
    """Raise SelectionError for a name that is none of feedstock.yaml's ``indexes``."""
    for name in names:
        if name not in indexes:
            near = difflib.get_close_matches(name, indexes, n=1, cutoff=0.4)
            raise SelectionError(
                f"feedstock.yaml declares no index called {name!r}",
                where="--indexes",
                next_step=f"{f'perhaps {near[0]}; ' if near else ''}there are {', '.join(indexes)}",
            )


def _is_of(found: Any, rows: Any) -> bool:
    """Whether an error is about one of two forms of a value, and another one about the other."""
    place = place_of(found["loc"])
    return any(row is not found and place_of(row["loc"]).startswith(place) for row in rows)


def _explain(found: Any, raw: Any) -> str:
    place = place_of(found["loc"])
    if found["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        key = str(found["loc"][-1])
        near = difflib.get_close_matches(key, _siblings(found["loc"][:-1]), n=1, cutoff=0.5)
        hint = f"; perhaps you meant {near[0]!r}" if near else ""
        return f"{place}: unknown key{hint}"
    given = (
        f" (found {_shown(found['input'])})"
        if raw is not None and found["type"] != "missing"
        else ""
    )
    if found["type"] in {"dataclass_type", "dict_type"}:
        return f"{place}: keys and values are needed{given}"
    if found["type"] == "tuple_type":
        return f"{place}: a list is needed; write it like [{found['input']}]{given}"
    if found["type"] == "string_pattern_mismatch" and ".accelerators." in place:
        return f"{place}: write cpu, cuda, cuda* or one line of CUDA like cuda130{given}"
    return f"{place}: {_said(found['msg'])}{given}"


def _said(message: str) -> str:
    """Put pydantic's words as one would say them."""
    message = message.removeprefix("Value error, ").replace("Field required", "needed")
    return message.replace("Input should be", "it should be")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _siblings(location: tuple[Any, ...]) -> list[str]:
    """List the keys that exist where an unknown one was found, by walking the schema."""
    schema = _ADAPTER.json_schema()
    node: dict[str, Any] = schema
    for part in location:
        if "properties" in node and part in node["properties"]:
            node = node["properties"][part]
        else:
            of_keys = list(node.get("patternProperties", {}).values())
            node = node.get("additionalProperties") or node.get("items") or (of_keys or [{}])[0]
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return list(node.get("properties", {}))


def _check_references(feedstock: Feedstock, at: _At) -> None:
    for train, policy in feedstock.trains.items():
        for name in policy.indexes:
            if name not in feedstock.indexes:
                raise FeedstockError(
                    f"trains.{train}.indexes names {name!r}, which indexes does not declare",
                    where=at("trains", train, "indexes"),
                    next_step=f"declare it, or use one of: {', '.join(feedstock.indexes)}",
                )
    _check_labels(feedstock, at)
    for name, source in feedstock.indexes.items():
        if source.kind in {"simple", "pytorch", "devpi", "folder"} and not source.url:
            raise FeedstockError(
                f"indexes.{name} is of kind {source.kind} and has no url",
                where=at("indexes", name),
                next_step="give it a url",
            )
        if "*" in name or "*" in (source.url or ""):
            _check_star(name, source, at)
        if source.kind == "pip" and source.url:
            raise FeedstockError(
                f"indexes.{name} is of kind pip, which is what pip is configured to use, and has a "
                "url",
                where=at("indexes", name),
                next_step="make it kind simple, or leave the url out and set PIP_INDEX_URL",
            )
    _check_packages(feedstock, at)
    for subdir, wish in feedstock.subdirs.items():
        if feedstock.channel in wish.base:
            raise FeedstockError(
                f"channel is {feedstock.channel!r}, which subdirs.{subdir} has as a base channel",
                where=at("channel"),
                next_step="name your own channel there: commands tell people to install from it",
            )
    if "torch" not in feedstock.packages:
        raise FeedstockError(
            "packages leaves torch out",
            where=at("packages"),
            next_step="torchvision and torchaudio need it: add torch",
        )


def _check_packages(feedstock: Feedstock, at: _At) -> None:
    rows = {name: row for name, row in packages().items() if row.project != "torch"}
    bound = {r.project for r in rows.values() if r.companion}.difference(get_args(ProjectName))
    free = {rows[name].project for name in unbound()}
    for key, asked, known in (
        ("fill", feedstock.fill, free),
        ("companions", feedstock.companions, bound),
    ):
        for place, name in enumerate(asked):
            if name not in known:
                made = next((r.made for r in rows.values() if r.project == name), "")
                if made and name not in get_args(ProjectName):
                    raise FeedstockError(
                        f"{key} names {name!r}, whose row in packages.yaml has made: {made}",
                        where=at(key, place),
                        next_step="made: python goes with companions, made: wheel with fill",
                    )
                near = difflib.get_close_matches(name, known, n=1)
                raise FeedstockError(
                    f"{key} names {name!r}, and packages.yaml has no such row of that project",
                    where=at(key, place),
                    next_step=f"perhaps you meant {near[0]}; else {_ROW}" if near else _ROW,
                )


def _check_labels(feedstock: Feedstock, at: _At) -> None:
    """Refuse that trains share a folder: a stable request must never meet a nightly."""
    taken: dict[str, str] = {}
    for train in feedstock.trains:
        label = feedstock.label(train)
        if label in taken or label in {"noarch", *get_args(SubdirName)}:
            what = f"also that of {taken[label]}" if label in taken else "a subdir's name"
            raise FeedstockError(
                f"trains.{train}.label is {label!r}, {what}",
                where=at("trains", train, "label"),
                next_step="give every train a label of its own",
            )
        taken[label] = train


def _check_star(name: str, source: IndexSource, at: _At) -> None:
    """Refuse an index that stands for several where its name or kind cannot."""
    url = (source.url or "").rstrip("/")
    if source.kind == "pytorch" and url.endswith("/cu*") and name.count("*") == url.count("*") == 1:
        return
    raise FeedstockError(
        f"indexes.{name}: a star stands for every CUDA line of an index of kind pytorch, once in "
        "its name and once at the end of its url",
        where=at("indexes", name),
        next_step='write it like  whl-cu*: {kind: pytorch, url: "https://host/whl/cu*"}',
    )
