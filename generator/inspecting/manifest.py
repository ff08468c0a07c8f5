"""``info/armtorch/manifest.json``: what every file of a package is and where it comes from.

templates/build.py writes it, and the seal adds ``floor``. Paths are those of the package;
``site-packages/`` is where the client puts it (CEP 20).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from generator.datafiles import describe
from generator.errors import MalformedError
from generator.model.floor import RaisedFloor
from generator.model.names import Sha256
from generator.model.wheel import HashOrigin

_CLOSED = ConfigDict(extra="forbid")
Size = Annotated[int, Field(ge=0, strict=True)]


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Source:
    """The wheel."""

    #: package URL with the file name
    purl: Annotated[str, Field(pattern="^pkg:")]
    sha256: Sha256
    #: bytes
    size: Size
    #: who said the sha256: the index, or armtorch when it first fetched a wheel listed without one
    hash_origin: HashOrigin
    #: of the wheel's RECORD, a copy of which is info/armtorch/RECORD
    record_sha256: Sha256
    #: of upstream's repository, as the wheel says; empty where it does not
    commit: Annotated[str, Field(pattern="^([0-9a-f]{40})?$")]


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Patched:
    """A text of which one place was replaced; putting ``before`` back gives upstream's bytes."""

    member: str
    #: byte offset of the place
    at: Size
    before: str
    with_: Annotated[str, Field(alias="with")]
    why: str
    #: of the packaged file
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Unpatched:
    """A text that is upstream's: the patch for it was not needed, so its version says itself."""

    #: regular expressions: the place to patch, and the reason to; neither is in the text
    pattern: str
    probe: str
    why: str


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Linked:
    """A relative link."""

    #: the path it leads to
    to: str
    #: the conda package that has it
    of: str
    #: the wheel's member of which it stands in the place, where it is another library
    instead_of: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Generated:
    """A file that no wheel has in this form.

    ``without-requirements``: METADATA without Requires-Dist lines of the projects that
    info/recipe/layout.json lists; ``record``: a RECORD of what the package has; ``installer``: the
    word conda; ``test-file``: rattler-build's copy of a file of recipes/_unpack.
    """

    how: Literal["without-requirements", "record", "installer", "test-file"]
    from_: Annotated[str, Field(alias="from")]


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class License:
    """Where a licence text is from: the wheel, or recipes/_unpack/licenses."""

    member: str = ""
    text: str = ""
    part: str = ""


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Left:
    """Members that the package does not have."""

    #: globs
    match: tuple[str, ...]
    why: str
    members: Size
    #: of all of them, unpacked
    bytes: Size
    #: the package that has them, if one does
    package: str = ""


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class EquivalentMember:
    """A member that differs between the Pythons by no more than a rule ignores."""

    member: str
    rule: Literal["build-id-and-time", "build-path"]
    #: with what the rule ignores blanked out; was computed from the bytes at build time
    normalised_sha256: Sha256


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Shared:
    """What the torch wheels of all Pythons of a cell have in common."""

    #: over ``path,sha256,size`` lines of RECORD, sorted, without the members named below
    digest: Sha256
    per_python: tuple[str, ...]
    equivalent: tuple[EquivalentMember, ...]


@dataclass(frozen=True, kw_only=True, config=_CLOSED)
class Manifest:
    """The whole file."""

    schema_: Annotated[Literal[2], Field(alias="schema")]
    package: str
    #: sha256 of what the recipes' build.py is made of: generator/data/unpackers.yaml
    unpacker: Sha256
    source: Source
    #: file below info/ -> the wheel's member that it is a copy of
    evidence: dict[str, str]
    #: path -> the wheel's member whose bytes it has; their sha256 stands in RECORD
    unchanged: dict[str, str]
    patched: dict[str, Patched]
    #: path, which is among the unchanged -> the patch that upstream made needless
    unpatched: dict[str, Unpatched]
    linked: dict[str, Linked]
    generated: dict[str, Generated]
    #: file below info/ -> its origin
    licenses: dict[str, License]
    shared: Shared | None
    dropped: tuple[Left, ...]
    elsewhere: tuple[Left, ...]
    #: bundled libraries for which the base channel's package stands
    replaced: tuple[Left, ...]
    #: added when the package is sealed, and only where the wheel's platform tag says too little
    floor: RaisedFloor | None = None


NAME = "info/armtorch/manifest.json"
_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)
_text = json.encoder.encode_basestring


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Read a manifest, of which nobody knows yet that it has the one form it may have.

    Raises MalformedError: it is no manifest of a schema known here.
    """
    try:
        return _ADAPTER.validate_python(json.loads(content))
    except ValidationError as error:
        raise _malformed(where, describe(error)) from error
    except (ValueError, RecursionError) as error:
        raise _malformed(where, str(error)) from error


def manifest_text(value: Mapping[str, Any]) -> bytes:
    """Return a manifest as build.py writes it: keys sorted, one space for each level."""
    return f"{_indented(value, 1)}\n".encode("utf-8", "surrogatepass")


def _indented(value: Any, depth: int) -> str:
    """Lay out JSON; json's own layout is written in Python, and takes five times as long."""
    pad = " " * depth
    if isinstance(value, Mapping) and value:
        rows = [
            f"{_text(key)}: {_text(each) if type(each) is str else _indented(each, depth + 1)}"
            for key, each in sorted(value.items())
        ]
        opening, closing = "{", "}"
    elif isinstance(value, list | tuple) and value:
        rows, opening, closing = [_indented(each, depth + 1) for each in value], "[", "]"
    else:
        return json.dumps(value, ensure_ascii=False)
    between = f",\n{pad}"
    return f"{opening}\n{pad}{between.join(rows)}\n{pad[1:]}{closing}"


def manifest_schema_text() -> str:
    """Return the JSON Schema of the manifest."""
    schema = _ADAPTER.json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _malformed(where: str, what: str) -> MalformedError:
    return MalformedError(
        what, where=where, next_step="do not trust the package; it was written by something else"
    )
