"""Proves a package by remaking it from what is known outside of it (decisions D9 and D16)."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from jsonschema_rs import Draft202012Validator

from generator.building.seal import DIGESTS, digests_text
from generator.datafiles import DATA, load_data, subdirs
from generator.documents import load_json, read_info_file
from generator.errors import ArmtorchError, MalformedError
from generator.inspecting import agreeing
from generator.inspecting.audit import PackageAudit
from generator.inspecting.container import Container, open_package
from generator.inspecting.contents import Contents, read_contents
from generator.inspecting.deriving import derive, dist_info, read_record
from generator.inspecting.limits import Limits, limits
from generator.inspecting.manifest import NAME, Manifest, parse_manifest
from generator.inspecting.proof import Binaries, Evidence, Flaw, Proof, Verdict
from generator.inspecting.remaking import PATHS, RECORD, Known, Remade, paths_text, remake
from generator.model.closed import Closed
from generator.model.floor import FLOORS, RaisedFloor
from generator.model.names import Sha256

_LAYOUT: Final = "info/recipe/layout.json"
_INDEX: Final = "info/index.json"
_ABOUT: Final = "info/about.json"
#: below info/, of a package of which no recipe is known: what says of itself what it is
_STATED: Final = frozenset(
    {
        *(f"info/{name}.json" for name in ("index", "about", "link", "run_exports", "hash_input")),
        "info/tests/tests.yaml",
    }
)
_RECIPE: Final = "info/recipe/"
_LICENSES: Final = "info/licenses/"
#: stars in a glob of the layout; each makes matching slower by the length of a path
_WILDCARDS: Final = 6
#: what the system says of a file alone: the rest of a channel is to be looked at
_UNREADABLE: Final = frozenset({errno.EACCES, errno.EINVAL, errno.EIO, errno.EPERM})
#: letters of a message
_LONG: Final = 300
#: how a package in conda's old format begins
_BZIP2: Final = b"BZh"
_OLD: Final = (
    "a .tar.bz2, conda's old format: it cannot be proven; get the .conda, or transmute makes one, "
    "with other bytes"
)
_FOREIGN: Final = "armtorch did not make it: it says of no file where that is from"
_NO_RECIPE: Final = (
    "no lock with its recipe was at hand: what it is called, depends on and runs is its own word"
)
#: finds what is known of a package; gets its metadata files
Witness = Callable[[Mapping[str, bytes]], Evidence]


@dataclass(frozen=True, kw_only=True)
class Unpacker(Closed):
    """One of them."""

    sha256: Sha256
    #: the first release that has it
    armtorch: str


@dataclass(frozen=True, kw_only=True)
class UnpackersFile(Closed):
    """The whole of data/unpackers.yaml."""

    format: Literal[1]
    #: oldest first
    unpackers: tuple[Unpacker, ...]


@cache
def unpackers() -> tuple[Unpacker, ...]:
    """Read data/unpackers.yaml; DataError when a row does not fit."""
    return load_data("unpackers.yaml", UnpackersFile).unpackers


def verify_package(path: Path, witness: Witness) -> Proof:
    """Prove one package; what is wrong with it is in the proof, never an exception.

    Raises OSError: there is no room for a temporary copy, or the file is gone.
    """
    if not path.is_file():
        # a pipe would be waited for; and the rest of a channel is to be looked at all the same
        flaw = Flaw(path.name, "it is not a regular file")
        return Proof(package=path.name, verdict="refuted", flaws=(flaw,))
    bounds = limits()
    try:
        with open_package(path, bounds) as package:
            return _Check(package, path.name, witness, bounds).run()
    except ArmtorchError as error:
        if note := _foreign(path):
            return Proof(package=path.name, verdict="not provable", notes=(note,))
        flaw = Flaw(error.where or path.name, error.what)
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        flaw = Flaw(path.name, f"it cannot be read: {error.strerror or error}")
    return Proof(package=path.name, verdict="refuted", flaws=(flaw,))


def _foreign(path: Path) -> str:
    """Say why a package that the seal did not write is not armtorch's at all; "" where it is."""
    with path.open("rb") as file:
        if file.read(3) == _BZIP2:
            return _OLD
    info: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            for name in (NAME, _ABOUT, _INDEX):
                if (content := read_info_file(file, path.name, name)) is not None:
                    info[name] = content
    except ArmtorchError:
        return ""
    extra = json_object(info, _ABOUT).get("extra")
    marked = NAME in info or (isinstance(extra, dict) and "armtorch" in extra)
    return "" if marked or not json_object(info, _INDEX) else _FOREIGN


class _Check:
    """One run over one package."""

    def __init__(self, package: Container, name: str, witness: Witness, bounds: Limits) -> None:
        self._package, self._name, self._bounds = package, name, bounds
        self._info = package.info()
        self._flaws: list[Flaw] = []
        self._evidence = witness(self._info)
        self._expected = self._evidence.expected

    def run(self) -> Proof:
        expected = self._expected
        if NAME in self._info:
            return self._with_files()
        contents = read_contents(self._package, self._bounds)
        there = bool(contents.files or contents.links)
        if expected is None:
            extra = json_object(self._info, _ABOUT).get("extra")
            if there or not (isinstance(extra, dict) and "armtorch" in extra):
                return Proof(package=self._name, verdict="not provable", notes=(_FOREIGN,))
        self._compare_files(Remade(), contents)
        self._compare_info({PATHS: paths_text(Remade())}, None)
        return self._proof(contents)

    def _with_files(self) -> Proof:
        manifest = parse_manifest(self._info[NAME], NAME)
        known = self._known(manifest)
        if known is None:
            return self._proof(Contents(), manifest)
        account = known.account
        audit = self._audit()
        whole = {*account.patched, *account.unpatched}
        if known.trusted:
            whole |= {*agreeing.texts(known).values()}
        contents = read_contents(self._package, self._bounds, whole=whole, audit=audit)
        floor = manifest.floor
        if self._expected is not None:
            floor = audit.raised_floor(self._expected.depends) if audit is not None else None
            self._flaws += agreeing.disagreements(
                self._expected.variant,
                self._evidence.metadata,
                known,
                self._info,
                contents,
            )
        made = remake(known, manifest, contents, self._info, floor)
        self._flaws += made.flaws
        self._compare_files(made, contents)
        self._compare_info(made.info, floor)
        return self._proof(contents, manifest, known)

    def _known(self, manifest: Manifest) -> Known | None:
        """Return what the package is made from, None where that makes no sense."""
        if RECORD not in self._info:
            raise MalformedError("it carries a manifest and not upstream's RECORD", where=RECORD)
        content, sha256 = self._info[RECORD], manifest.source.sha256
        digest = hashlib.sha256(content).hexdigest()
        for whose, wanted in self._evidence.records.items():
            if digest != wanted:
                self._flaw(RECORD, f"has sha256 {digest}, and {whose} is {wanted}")
                return None
        if self._expected is not None:
            wheels = self._expected.variant.wheels
            sha256 = wheels[0].sha256 if wheels else ""
        try:
            record = read_record(content, self._bounds.entries)
            dist_info(record)
            layout = self._layout(sha256)
            sizes = {member: size for member, (_, size) in record.items()}
            account = derive(layout, sha256, sizes, manifest.unpatched)
        except ValueError as error:
            self._flaw(_LAYOUT, str(error))
            return None
        return Known(
            layout=layout,
            trusted=self._expected is not None,
            sha256=sha256,
            record_bytes=content,
            record=record,
            account=account,
        )

    def _layout(self, sha256: str) -> Mapping[str, Any]:
        """Read layout.json: the recipe's, or the package's own where it fits its schema."""
        if self._expected is not None:
            layout: dict[str, Any] = json.loads(self._expected.recipe.get("layout.json", b"{}"))
        else:
            layout = json_object(self._info, _LAYOUT)
            schema = json.loads((DATA / "schemas" / "layout.schema.json").read_text("utf-8"))
            if any(glob.count("*") > _WILDCARDS for glob in _globs(layout)):
                raise ValueError(f"has a glob of more than {_WILDCARDS} stars")
            if flaw := next(Draft202012Validator(schema).iter_errors(layout), None):
                place = "/".join(map(str, flaw.instance_path))
                raise ValueError(f"{place}: {flaw.message}")
        wheel = layout.get("wheels", {}).get(sha256)
        if wheel is None or wheel["cell"] not in layout["cells"]:
            raise ValueError(f"knows no wheel of sha256 {sha256}")
        return layout

    def _audit(self) -> PackageAudit | None:
        """Return what looks at binaries, where they can ask for a newer system."""
        expected = self._expected
        if expected is None or expected.variant.subdir not in subdirs():
            return None
        subdir, variant = subdirs()[expected.variant.subdir], expected.variant
        if subdir.os not in FLOORS:
            return None
        return PackageAudit(variant.package, subdir=subdir, python=variant.python)

    def _compare_files(self, made: Remade, contents: Contents) -> None:
        for path in contents.paths:
            seen = contents.files.get(path)
            if path not in made.files and path not in made.links:
                self._flaw(path, "is in the package, and nothing accounts for it")
            elif seen is None and contents.links[path] != made.links.get(path):
                self._flaw(path, f"leads to {contents.links[path]!r}, and should not")
            elif seen is not None and path in made.links:
                self._flaw(path, f"is a file, and should be a link to {made.links[path]!r}")
            elif seen is not None and (seen.sha256, seen.size) != (row := made.files[path]):
                what = f"has sha256 {seen.sha256} and {seen.size} bytes, and should have"
                self._flaw(path, f"{what} {row[0]} and {row[1]}")
        for path in (*made.files, *made.links):
            if path not in contents.files and path not in contents.links:
                self._flaw(path, "is missing")

    def _compare_info(self, made: Mapping[str, bytes], floor: RaisedFloor | None) -> None:
        """Compare every metadata file, byte for byte."""
        wanted = {**made, DIGESTS: digests_text(self._info)}
        if self._expected is not None:
            wanted |= self._expected.info(floor)
            if self._package.seconds != self._expected.milliseconds // 1000:
                self._flaw(_INDEX, "its files have another time than its wheel gives it")
        else:
            self._stated()
        for file in sorted(self._info.keys() | wanted.keys()):
            if file not in self._info:
                self._flaw(file, "is missing")
            elif file in wanted:
                if self._info[file] != wanted[file]:
                    self._flaw(file, difference(self._info[file], wanted[file]))
            elif self._expected is not None or not self._is_stated(file):
                self._flaw(file, "is no file that the recipe gives")

    def _is_stated(self, file: str) -> bool:
        own = NAME not in self._info and file.startswith(_LICENSES)
        return own or file in _STATED or file.startswith(_RECIPE)

    def _stated(self) -> None:
        """Check what a package says of itself against its name and its time."""
        index = json_object(self._info, _INDEX)
        said = "-".join(str(index.get(key)) for key in ("name", "version", "build"))
        if f"{said}.conda" != self._name:
            self._flaw(_INDEX, f"says that it is {said}, and the file is called {self._name}")
        when = index.get("timestamp")
        if not isinstance(when, int) or when // 1000 != self._package.seconds:
            self._flaw(_INDEX, f"its timestamp is {when}, and its files have another")

    def _stated_notes(self, manifest: Manifest | None) -> Iterator[str]:
        """Say what else is known of a package whose recipe is not."""
        for whose in self._evidence.records:
            yield f"its RECORD is {whose}: the files that are upstream's are those"
        known = {row.sha256 for row in unpackers()}
        if manifest is not None and manifest.unpacker not in known:
            yield f"no armtorch up to this one had the unpacker of sha256 {manifest.unpacker}"

    def _flaw(self, file: str, what: str) -> None:
        self._flaws.append(Flaw(file, what[: 2 * _LONG]))

    def _proof(
        self, contents: Contents, manifest: Manifest | None = None, known: Known | None = None
    ) -> Proof:
        verdict: Verdict = "proven" if self._expected is not None else "self-consistent"
        account = known.account if known is not None else None
        unchanged = account.unchanged if account is not None else {}
        wrong = {flaw.file for flaw in self._flaws}
        binaries = {path: seen.size for path, seen in contents.files.items() if seen.binary}
        notes = [] if self._expected is not None else [_NO_RECIPE, *self._stated_notes(manifest)]
        return Proof(
            package=self._name,
            verdict="refuted" if self._flaws else verdict,
            flaws=tuple(self._flaws),
            purl=manifest.source.purl if manifest is not None else "",
            commit=manifest.source.commit if manifest is not None else "",
            counts=_counts(manifest),
            binaries=Binaries(
                files=len(binaries),
                bytes=sum(binaries.values()),
                unchanged_bytes=sum(
                    size for path, size in binaries.items() if path in unchanged.keys() - wrong
                ),
            ),
            patches={
                path: f"{row.before!r} -> {row.with_!r}"
                for path, row in (manifest.patched if manifest is not None else {}).items()
            },
            floor=manifest.floor if manifest is not None else None,
            recipe="the lock's" if self._expected is not None else "unknown",
            notes=tuple(notes),
        )


def _counts(manifest: Manifest | None) -> dict[str, int]:
    if manifest is None:
        return {}
    return {
        **{
            kind: len(getattr(manifest, kind))
            for kind in ("unchanged", "linked", "patched", "generated")
        },
        "patches that upstream made needless": len(manifest.unpatched),
        **{
            kind: sum(row.members for row in getattr(manifest, kind))
            for kind in ("dropped", "elsewhere", "replaced")
        },
    }


def difference(found: bytes, wanted: bytes) -> str:
    """Say where a metadata file is not what it has to be."""
    try:
        one, other = load_json(found, ""), load_json(wanted, "")
    except ArmtorchError:
        one = other = None
    for place, said, due in _differences(one, other, ""):
        return f"{place}: says {_shown(said)}, and should say {_shown(due)}"
    pairs = enumerate(zip(found, wanted, strict=False))
    byte = next((n for n, (a, b) in pairs if a != b), min(len(found), len(wanted)))
    return f"is not what the recipe gives, from byte {byte} on"


def _differences(found: object, wanted: object, place: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from _differences(found.get(key), wanted.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from _differences(one, other, f"{place}.{number}".lstrip("."))
    elif found != wanted:
        yield place, found, wanted


def _shown(value: object) -> str:
    return str(value)[:_LONG]


def json_object(info: Mapping[str, bytes], file: str) -> dict[str, Any]:
    """Return a metadata file that is a JSON object; an empty one where it is none."""
    try:
        value = load_json(info.get(file, b"null"), file)
    except ArmtorchError:
        return {}
    return value if isinstance(value, dict) else {}


def _globs(value: object) -> Iterator[str]:
    """Yield the globs of a layout that nothing was checked of yet."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"match", "licenses"} and isinstance(inner, list):
                yield from (glob for glob in inner if isinstance(glob, str))
            else:
                yield from _globs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _globs(inner)
