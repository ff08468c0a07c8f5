"""What a library exports as bytes, for the cache of facts."""

from __future__ import annotations

import json
from types import MappingProxyType

from generator.inspecting.macho_symbols import ExportTrie
from generator.inspecting.symbols import Symbols


def pack_defined(symbols: Symbols) -> bytes:
    """Write what a library defines and exports again; what it asks for is left out."""
    trie = symbols.defined if isinstance(symbols.defined, ExportTrie) else None
    head = {"trie": trie is not None, "reexports": symbols.reexports}
    names = "\0".join(sorted(symbols.defined)).encode() if trie is None else trie.content
    return json.dumps(head).encode() + b"\n" + names


def unpack_defined(content: bytes, path: str) -> Symbols:
    """Read what :func:`pack_defined` wrote; ``path`` is named in errors."""
    head, _, names = content.partition(b"\n")
    found = json.loads(head)
    return Symbols(
        defined=ExportTrie(names, path)
        if found["trie"]
        else frozenset(names.decode().split("\0") if names else ()),
        undefined=MappingProxyType({}),
        reexports=tuple(found["reexports"]),
    )
