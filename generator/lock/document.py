"""The lock as text: YAML that is the same bytes for the same content, and that shows hand edits."""

from __future__ import annotations

import hashlib
import io
import json
import re
from typing import Any, Final

from pydantic import TypeAdapter
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from generator.model.cell import Lock

#: raised when an older armtorch could no longer read the file rightly
SCHEMA: Final = 1
HEAD: Final = (
    "# yaml-language-server: $schema=docs/feedstock.lock.schema.json\n"
    "# written by armtorch update; not to be edited: `digest` tells when it was\n"
)
ADAPTER: Final = TypeAdapter(Lock)
_TAME: Final = re.compile(r"[A-Za-z0-9._/][A-Za-z0-9._/@+=%-]*( [A-Za-z0-9=][A-Za-z0-9._/-]*)*")


class _Row(dict[str, Any]):
    """A mapping that is written on one line, so that a diff shows one wheel as one line."""


class _Representer(SafeRepresenter):
    """Writes mappings in the order they have, rows on one line."""

    def represent_row(self, row: _Row) -> MappingNode:
        """Represent a row in flow style."""
        return self._plain(row, flow_style=True)

    def represent_ordered(self, mapping: dict[str, Any]) -> MappingNode:
        """Represent any other mapping in block style."""
        return self._plain(mapping, flow_style=False)

    def represent_text(self, text: str) -> ScalarNode:
        """Leave names, numbers and paths bare and quote everything else.

        ruamel writes some texts bare that it cannot read again within a row (``?t``), so what is
        left bare is chosen here; it still quotes what would read as a number or a truth value.
        libyaml reads no ``:`` and no ``?`` in a row either.
        """
        style = None if _TAME.fullmatch(text) else '"'
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", text, style=style)
        return node

    def _plain(self, mapping: dict[str, Any], *, flow_style: bool) -> MappingNode:
        node: MappingNode = self.represent_mapping(
            "tag:yaml.org,2002:map", list(mapping.items()), flow_style=flow_style
        )
        return node


_Representer.add_representer(_Row, _Representer.represent_row)
_Representer.add_representer(str, _Representer.represent_text)
_Representer.add_representer(dict, _Representer.represent_ordered)


def to_document(lock: Lock) -> dict[str, Any]:
    """Return the lock as plain data, sorted, without what is default; the digest included."""
    content: dict[str, Any] = ADAPTER.dump_python(
        lock.in_order(), mode="json", exclude_defaults=True
    )
    return {"schema": SCHEMA, "digest": digest_of(content), **content}


def digest_of(content: dict[str, Any]) -> str:
    """Return the sha256 over the canonical JSON of everything but ``schema`` and ``digest``."""
    bare = {key: value for key, value in content.items() if key not in {"schema", "digest"}}
    text = json.dumps(bare, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def lock_text(lock: Lock) -> str:
    """Return the file: equal locks give equal bytes, whatever order their parts were found in."""
    document = to_document(lock)
    for cell in document.get("cells", ()):
        cell["trio"] = _Row(cell["trio"])
        for key in ("wheels", "absent", "held"):
            if key in cell:
                cell[key] = [_Row(row) for row in cell[key]]
        for group in filter(None, (cell.get("sharing"), *cell.get("apart", ()))):
            if "equivalent" in group:
                group["equivalent"] = [_Row(row) for row in group["equivalent"]]
    for key in ("absent", "held"):
        if key in document:
            document[key] = [_Row(row) for row in document[key]]
    for subdir, pins in document.get("base", {}).items():
        document["base"][subdir] = [_Row(pin) for pin in pins]
    if "builds" in document:
        document["builds"] = {key: _Row(row) for key, row in document["builds"].items()}
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.width = 1 << 20
    yaml.allow_unicode = False  # ruamel leaves NEL and others bare, which then read as line ends
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated None
    stream = io.StringIO()
    yaml.dump(document, stream)
    return HEAD + stream.getvalue()
