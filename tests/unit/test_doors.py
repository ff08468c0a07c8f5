"""Every call of a parser or of the network in generator/, and why it stands where it stands.

Documents of others pass one door, the room `documents`, and questions to servers another one, the
room `transport`. A new call elsewhere fails here: let it go through the door, or say why not.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2] / "generator"
#: what reads bytes of others: everything else of these modules writes, or is a name or a type
READERS = {
    "json": {"load", "loads"},
    "ruamel.yaml": {"YAML"},
    "tarfile": {"open"},
    "zipfile": {"ZipFile"},
    "urllib.request": {"urlopen", "urlretrieve"},
    "requests": {"get", "head", "post", "put", "delete", "request", "Session"},
    "pydantic_core": {"from_json"},
    "msgspec": {"json.decode", "json.Decoder", "msgpack.decode"},
    "zstandard": {"ZstdDecompressor", "decompress"},
    "zlib": {"decompress", "decompressobj"},
    "bz2": {"open", "decompress"},
    "lzma": {"open", "decompress"},
    "gzip": {"open", "decompress"},
    "pickle": {"load", "loads"},
    "tomllib": {"load", "loads"},
    "xml": {"parse"},
    "configparser": {"ConfigParser"},
    "rattler.networking.client": {"Client"},
    "rattler.repo_data.gateway": {"Gateway"},
    "rattler": {"Gateway", "Client"},
    "http.client": {"HTTPConnection", "HTTPSConnection"},
    "socket": {"create_connection", "socket"},
}
OWN = "armtorch's own data, written by nobody else"
MADE = "what was rendered or built in this run, checked against what it has to be"
PACKAGE = "a package's metadata, within the limits of verifying.yaml"
ALLOWED = {
    # the door
    "documents/json_text.py": {
        "pydantic_core.from_json": "the door",
        "msgspec.json.decode": "the door",
    },
    "documents/yaml_text.py": {"ruamel.yaml.YAML": "the door"},
    "documents/zips.py": {"zipfile.ZipFile": "the door"},
    "documents/conda_info.py": {
        "tarfile.open": "the door: in memory, bounded before",
        "zstandard.ZstdDecompressor": "the door: bounded",
    },
    "transport/gateway.py": {
        "rattler.networking.client.Client": "the door to channels, with a time for each question",
        "rattler.repo_data.gateway.Gateway": "the door to channels",
    },
    "documents/toml_text.py": {"tomllib.loads": "the door"},
    # what stands beside it
    "explaining/channels.py": {
        "rattler.networking.client.Client": "the same client with a person's proxies, and a time"
    },
    "channel/repodata.py": {"msgspec.json.Decoder": "two numbers of what the door took apart"},
    "channel/derived.py": {
        "msgspec.json.decode": "what rattler wrote just now, or armtorch, by its sha256",
        "msgspec.msgpack.decode": "what armtorch wrote, by its sha256; bounded, and of a type",
    },
    "datafiles.py": {"ruamel.yaml.YAML": OWN},
    "rendering/own_wheel.py": {"zipfile.ZipFile": "writes a wheel of armtorch's own files"},
    "rendering/checking.py": {"ruamel.yaml.YAML": MADE, "json.loads": f"{MADE}, and {OWN}"},
    "inspecting/mapping.py": {"ruamel.yaml.YAML": "writes a row for a person to copy"},
    "lock/document.py": {"ruamel.yaml.YAML": "writes the lock"},
    "building/rendered.py": {
        "ruamel.yaml.YAML": "rattler-build's own file of a package just built"
    },
    "building/archive.py": {
        "zipfile.ZipFile": "a package just built, or of one's own channel",
        "tarfile.open": "the same, in memory and bounded, or forward only",
        "zstandard.ZstdDecompressor": "the same",
    },
    "debian/archive.py": {"zipfile.ZipFile": "writes the package"},
    "building/seal.py": {"zipfile.ZipFile": "writes the package"},
    "inspecting/container.py": {
        "zipfile.ZipFile": "writes headers, to compare a package's with",
        "zstandard.ZstdDecompressor": f"{PACKAGE}; one frame of a window that is known",
    },
    "inspecting/manifest.py": {
        "json.loads": f"{PACKAGE}, compared with its own form byte for byte"
    },
    "inspecting/verifying.py": {"json.loads": OWN},
    "inspecting/read_wheel.py": {
        "zipfile.ZipFile": "part of the unpacker, so it has the standard library only; has limits"
    },
    "upstream/reconstruction.py": {"zlib.decompressobj": "the head of a member, bounded"},
    "upstream/packed.py": {
        "zlib.decompressobj": "what armtorch packed itself, by its sha256; bounded"
    },
    "upstream/deflate.py": {"zlib.decompressobj": "pieces of a member, bounded"},
    "upstream/member_file.py": {"zlib.decompressobj": "pieces of a member, bounded"},
    "inspecting/packed_symbols.py": {"json.loads": "what armtorch packed itself, by its sha256"},
    "upstream/core_metadata.py": {
        "configparser.ConfigParser": "entry_points.txt, bounded and without interpolation"
    },
}


def test_documents_of_others_are_read_by_the_door_alone():
    found = _calls()
    known = {(path, call) for path, calls in ALLOWED.items() for call in calls}
    assert sorted(found - known) == [], "a parser beside the door: use generator/documents"
    assert sorted(known - found) == [], "rows for calls that are not there any more"


def test_only_the_transport_asks_servers():
    asking = {path for path, call in _calls() if call.split(".")[0] in {"requests", "rattler"}}
    # rattler with a person's own proxies is made where those are known
    assert asking <= {"transport/gateway.py", "explaining/channels.py"}


def test_only_printing_prints():
    prints = defaultdict(set)
    for path, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                prints[path].add(ast.unparse(node.func))
    bad = {"print", "click.echo", "click.secho", "sys.stdout.write", "Console", "Table"}
    found = {path: calls & bad for path, calls in prints.items() if calls & bad}
    # the bars draw on a console of their own, and escape what they show
    assert found == {
        "printing.py": {"click.echo", "click.secho", "Console", "Table"},
        "console.py": {"Console"},
    }


def test_nothing_is_unpacked_without_a_bound():
    """`decompress` of a whole answers as much as somebody packed; a reader is read to a number."""
    unbounded = set()
    for path, tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                bound = [*node.args[1:], *(key for key in node.keywords if key.arg == "max_length")]
                if node.func.attr == "decompress" and not bound:
                    unbounded.add(path)
    # in pieces of 64 KiB, which deflate makes 66 MB of at most, and counted after each
    assert unbounded == {"upstream/deflate.py"}


@cache
def _trees():
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(ROOT.rglob("*.py"))
    ]


@cache
def _calls() -> set[tuple[str, str]]:
    found = set()
    for path, tree in _trees():
        names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name] = alias.name
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found |= {(path, call) for call in _reads(ast.unparse(node.func), names)}
    return found


def _reads(called: str, names: dict[str, str]) -> set[str]:
    head, _, rest = called.partition(".")
    full = f"{names.get(head, head)}{'.' + rest if rest else ''}"
    return {
        f"{module}.{reader}"
        for module, readers in READERS.items()
        for reader in readers
        if full == f"{module}.{reader}" or full.startswith(f"{module}.{reader}.")
    }
