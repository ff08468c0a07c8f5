"""Compares a package's metadata, the files below info/, with its contents and its recipe.

paths.json and index.json are CEP 34's; how the hash in a build string comes from hash_input.json is
rattler-build's (``HashInfo``: sha1, seven digits).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from generator.building.rendered import normalise
from generator.inspecting.contents import Contents
from generator.inspecting.manifest import NAME, Manifest
from generator.inspecting.proof import Evidence, Flaw
from generator.inspecting.read_wheel import decode
from generator.model.floor import FLOORS, RaisedFloor
from generator.model.provenance import PROVENANCE, provenance_of

_PATHS: Final = "info/paths.json"
_INDEX: Final = "info/index.json"
_HASH: Final = "info/hash_input.json"
_VARIANT: Final = "info/recipe/variant_config.yaml"
_RENDERED: Final = "info/recipe/rendered_recipe.yaml"
_RECIPE: Final = "info/recipe/"
_LICENSES: Final = "info/licenses/"
#: bytes
_YAML: Final = 1 << 16
#: letters of a message
_LONG: Final = 600
#: the one field of index.json that does not come from the recipe
_TIME: Final = "timestamp"
_EMPTY: Final = hashlib.sha256().hexdigest()
#: made by rattler-build or conda-build beside the files above
_KNOWN: Final = frozenset(
    {
        *(_PATHS, _INDEX, _HASH, NAME),
        *(f"info/{name}.json" for name in ("about", "link", "run_exports", "attestation")),
        "info/tests/tests.yaml",
    }
)
#: metadata that rattler-build and the seal write with two spaces of indent
_INDENTED: Final = (_PATHS, _INDEX, "info/about.json", "info/link.json", "info/run_exports.json")
_COMMIT: Final = re.compile(rb"^git_version = '([0-9a-f]{40})'$", re.MULTILINE)


def check_metadata(
    name: str,
    info: Mapping[str, bytes],
    contents: Contents,
    evidence: Evidence,
    manifest: Manifest | None = None,
    record: Mapping[str, tuple[str, int]] | None = None,
) -> Iterator[Flaw]:
    """Yield everything in the metadata that is not as it has to be.

    Args:
        name: the package's file name.
        info: the metadata files.
        contents: what was seen in the package.
        evidence: what is known from outside.
        manifest: None for packages that have none.
        record: of the wheel, where there is a manifest.

    """
    values = {file: _value(info, file) for file in (_PATHS, _INDEX, _HASH)}
    for file, value in values.items():
        if value is None and (file != _HASH or manifest is not None):
            yield Flaw(file, "is missing, or no JSON object")
    known = manifest is not None or evidence.recipe is not None
    yield from _paths(values[_PATHS] or {}, contents, strict=known)
    yield from _index(name, values[_INDEX] or {})
    floor = manifest.floor if manifest is not None else None
    yield from _expected(info, evidence, floor)
    if floor is not None:
        yield from _floor(values[_INDEX] or {}, contents, floor, evidence)
    if manifest is None and evidence.recipe is None:
        return
    yield from _forms(info)
    yield from _variant(info, values[_INDEX] or {}, values[_HASH] or {})
    yield from _recipe(info, evidence)
    yield from _rendered(info, values[_INDEX] or {})
    if manifest is not None and record is not None:
        yield from _evidence(info, manifest, record)
        yield from _licenses(info, manifest, record)
        yield from _strays(info, manifest)


def _value(info: Mapping[str, bytes], file: str) -> dict[str, Any] | None:
    try:
        value = json.loads(info[file])
    except (KeyError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _forms(info: Mapping[str, bytes]) -> Iterator[Flaw]:
    """Check that JSON is in its writer's own form: nothing stands twice, nothing beside it."""
    for file in (*_INDENTED, _HASH):
        if (value := _value(info, file)) is None:
            continue
        indent = None if file == _HASH else 2
        text = json.dumps(value, indent=indent, ensure_ascii=False)
        if text.encode("utf-8", "surrogatepass") != info[file]:
            yield Flaw(file, "is not in the form that rattler-build writes")


def _paths(value: Mapping[str, Any], contents: Contents, *, strict: bool) -> Iterator[Flaw]:
    found: dict[str, Mapping[str, Any]] = {}
    yield from _path_rows(value, found, strict=strict)
    for path, seen in contents.files.items():
        row = found.pop(path, {})
        wanted = ("hardlink", seen.sha256, seen.size)
        said = (row.get("path_type"), row.get("sha256"), row.get("size_in_bytes"))
        if said != wanted:
            yield Flaw(path, f"is {wanted}, and paths.json says {said}")
    for path, target in contents.links.items():
        row = found.pop(path, {})
        if row.get("path_type") != "softlink":
            yield Flaw(path, "is a link, and paths.json does not say so")
        elif strict and row.get("size_in_bytes") != len(target.encode()):
            yield Flaw(path, "paths.json has another size for the link")
        elif strict and row.get("sha256") not in (_EMPTY, _reached(path, target, contents)):
            yield Flaw(path, "paths.json has another sha256 for what the link leads to")
    for path, row in found.items():
        if row.get("path_type") != "directory" or path not in contents.folders:
            yield Flaw(path, "is in paths.json, and not in the package")


def _path_rows(
    value: Mapping[str, Any], found: dict[str, Mapping[str, Any]], *, strict: bool
) -> Iterator[Flaw]:
    """Fill ``found`` with the rows of paths.json by path, and yield those that are none."""
    if strict and (value.keys() != {"paths", "paths_version"} or value["paths_version"] != 1):
        yield Flaw(_PATHS, f"has the keys {sorted(value)}, or is of another version than 1")
    rows = value.get("paths")
    for row in rows if isinstance(rows, list) else ():
        path = row.get("_path") if isinstance(row, dict) else None
        if not isinstance(path, str) or path in found:
            yield Flaw(_PATHS, f"has a row without a path, or a second one for {path}")
            continue
        found[path] = row
        if strict and row.keys() != {"_path", "path_type", "sha256", "size_in_bytes"}:
            yield Flaw(path, f"its row in paths.json has the keys {sorted(row)}")


def _reached(path: str, target: str, contents: Contents) -> str:
    parts = path.split("/")[:-1]
    for part in target.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    seen = contents.files.get("/".join(parts))
    return seen.sha256 if seen is not None else _EMPTY


def _index(name: str, index: Mapping[str, Any]) -> Iterator[Flaw]:
    said = "-".join(str(index.get(key)) for key in ("name", "version", "build"))
    if f"{said}.conda" != name:
        yield Flaw(_INDEX, f"says that it is {said}, and the file is called {name}")


def _floor(
    index: Mapping[str, Any], contents: Contents, floor: RaisedFloor, evidence: Evidence
) -> Iterator[Flaw]:
    """Check a raised floor: a binary needs it, and the package asks for it."""
    if FLOORS.get(str(index.get("subdir")).partition("-")[0]) != floor.package:
        yield Flaw(NAME, f"{floor}, and the package is for {index.get('subdir')}")
    recipes = (evidence.metadata or {}).get(_INDEX, {}).get("depends")
    if isinstance(recipes, list) and not floor.is_stated_by(recipes):
        yield Flaw(NAME, f"{floor}, and the recipe states something else")
    if floor.needed not in contents.floors:
        seen = ", ".join(contents.floors) or "no version"
        yield Flaw(NAME, f"{floor}; in that file is {seen}")
    if not floor.is_raised:
        yield Flaw(NAME, f"{floor}, and that is no higher")
    depends = index.get("depends")
    if not isinstance(depends, list) or floor.raise_in(map(str, depends)) != tuple(depends):
        yield Flaw(_INDEX, f"{floor}, and depends says something else")


def _expected(
    info: Mapping[str, bytes], evidence: Evidence, floor: RaisedFloor | None
) -> Iterator[Flaw]:
    """Compare metadata with what the known recipe gives, its floor raised where it is."""
    for file, fields in (evidence.metadata or {}).items():
        value = _value(info, file) if file.endswith(".json") else _yaml(info.get(file, b""))
        for key, given in fields.items():
            found = (value or {}).get(key)
            wanted = _raised(given, floor) if (file, key) == (_INDEX, "depends") else given
            if key == "extra" and isinstance(found, dict) and provenance_of(found) is not None:
                found = {name: each for name, each in found.items() if name not in PROVENANCE}
            if found != wanted and not (found is None and wanted == []):
                yield Flaw(file, f"{key} is {found}, and the recipe gives {wanted}"[:_LONG])

        if file.endswith(".json") and (more := (value or {}).keys() - fields.keys() - {_TIME}):
            yield Flaw(file, f"has {sorted(more)}, which the recipe does not give")


def _raised(depends: object, floor: RaisedFloor | None) -> object:
    if floor is None or not isinstance(depends, list):
        return depends
    return list(floor.raise_in(depends))


def _yaml(content: bytes) -> dict[str, Any] | None:
    if len(content) > _YAML:  # the reader is slow, and no rendered recipe has a tenth of it
        return None
    try:
        value = YAML(typ="safe", pure=True).load(content)
    except (YAMLError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _variant(
    info: Mapping[str, bytes], index: Mapping[str, Any], variant: Mapping[str, Any]
) -> Iterator[Flaw]:
    digest = hashlib.sha1(info.get(_HASH, b""), usedforsecurity=False).hexdigest()[:7]
    found = re.search(r"(?:^|_)h([0-9a-f]{7})(?:_|$)", str(index.get("build")))
    if found is not None and found[1] != digest:
        yield Flaw(_HASH, f"gives the hash {digest}, and the build string has {found[1]}")
    lines = info.get(_VARIANT, b"").decode("utf-8", "replace").split("\n")
    wanted = [{f"{key}: {value}", f"{key}: '{value}'"} for key, value in variant.items()]
    if (
        lines[-1]
        or len(lines) != len(wanted) + 1
        or not all(line in forms for line, forms in zip(lines, wanted, strict=False))
    ):
        yield Flaw(_VARIANT, "is another variant than hash_input.json's")


def _rendered(info: Mapping[str, bytes], index: Mapping[str, Any]) -> Iterator[Flaw]:
    """Check that the rendered recipe is as the seal leaves it: no machine, the package's time."""
    content = info.get(_RENDERED, b"")
    level = re.search(rb"\n    compression_level: ([0-9]{1,2})\n", content)
    when = index.get("timestamp")
    if len(content) > _YAML or level is None or not isinstance(when, int):
        yield Flaw(_RENDERED, "is not as armtorch seals it")
        return
    try:
        stamp = datetime.fromtimestamp(when / 1000, UTC).isoformat().replace("+00:00", "Z")
        if stamp.encode() not in content:
            yield Flaw(_INDEX, f"timestamp is {stamp}, and rendered_recipe.yaml has another")
            return
        sealed = normalise(content, milliseconds=when, level=int(level[1]))
    except (YAMLError, LookupError, TypeError, AttributeError, ValueError, OverflowError, OSError):
        sealed = b""
    if sealed != content:
        yield Flaw(_RENDERED, "is not as armtorch seals it")


def _recipe(info: Mapping[str, bytes], evidence: Evidence) -> Iterator[Flaw]:
    """Compare the recipe's copy with the recipe, where that is known."""
    if evidence.recipe is None:
        return
    inside = {
        file.removeprefix(_RECIPE)
        for file in info
        if file.startswith(_RECIPE) and file not in {_VARIANT, _RENDERED}
    }
    for file in sorted(inside | evidence.recipe.keys()):
        if info.get(f"{_RECIPE}{file}") != evidence.recipe.get(file):
            yield Flaw(f"{_RECIPE}{file}", "is not the file of the recipe that the digest names")
    if NAME not in info:
        for file, content in info.items():
            if file.startswith(_LICENSES) and content not in evidence.recipe.values():
                yield Flaw(file, "is no licence text of the recipe")


def _evidence(
    info: Mapping[str, bytes], manifest: Manifest, record: Mapping[str, tuple[str, int]]
) -> Iterator[Flaw]:
    """Check upstream's own files below info/armtorch, and the commit that one of them states."""
    commits = set()
    for file, member in manifest.evidence.items():
        if file not in info:
            yield Flaw(file, "is named by the manifest, and missing")
        elif member.endswith(".dist-info/RECORD"):
            continue
        elif not _is_member(info[file], member, record):
            yield Flaw(file, f"is not upstream's {member}")
        elif found := _COMMIT.search(info[file]):
            commits.add(found[1].decode())
    if (commits or {""}) != {manifest.source.commit}:
        what = f"source.commit is {manifest.source.commit!r}, the wheel says {sorted(commits)}"
        yield Flaw(NAME, what)


def _licenses(
    info: Mapping[str, bytes], manifest: Manifest, record: Mapping[str, tuple[str, int]]
) -> Iterator[Flaw]:
    for file, origin in manifest.licenses.items():
        if file not in info:
            yield Flaw(file, "is a licence that the manifest names, and missing")
        elif origin.member and not _is_member(info[file], origin.member, record):
            yield Flaw(file, f"is not upstream's {origin.member}")
        elif origin.recipe and info[file] != info.get(f"{_RECIPE}{origin.recipe}"):
            yield Flaw(file, f"is not the recipe's {origin.recipe}")
    if not manifest.licenses and not any(file.startswith(_LICENSES) for file in info):
        yield Flaw(NAME, "the package has no licence text")


def _is_member(content: bytes, member: str, record: Mapping[str, tuple[str, int]]) -> bool:
    row = record.get(member)
    return row is not None and hashlib.sha256(content).hexdigest() == decode(row[0])


def _strays(info: Mapping[str, bytes], manifest: Manifest) -> Iterator[Flaw]:
    for file in info:
        beside = file.startswith(_LICENSES) and not manifest.licenses
        if not (
            beside
            or file in _KNOWN
            or file in manifest.evidence
            or file in manifest.licenses
            or file.startswith(_RECIPE)
        ):
            yield Flaw(file, "is no file that rattler-build or armtorch writes")
