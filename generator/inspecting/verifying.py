"""Proves what a package says of itself (design D9), from what is known outside of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from generator.datafiles import DATA
from generator.errors import ArmtorchError, MalformedError
from generator.inspecting.conda_file import CondaFile, OldFormatError, open_package
from generator.inspecting.contents import Contents, read_contents
from generator.inspecting.deriving import Account, derive, dist_info, read_record
from generator.inspecting.limits import Limits, limits
from generator.inspecting.manifest import NAME, Manifest, parse_manifest
from generator.inspecting.metadata import check_metadata
from generator.inspecting.proof import Evidence, Flaw, Proof, Verdict
from generator.inspecting.read_wheel import RefusedError, Wheel
from generator.inspecting.remaking import check_files
from generator.inspecting.sharing import check_shared

_LAYOUT = "info/recipe/layout.json"
_RECORD = "info/armtorch/RECORD"
#: stars in a glob of the layout; each makes matching slower by the length of a path
_WILDCARDS = 6
#: parts of a manifest about members that the package does not have
_LEFT = ("dropped", "elsewhere", "replaced")
_NO_MANIFEST = (
    "it carries no info/armtorch/manifest.json: that its files are upstream's cannot be proven, "
    "only that they are those of its own paths.json"
)
_NO_RECIPE = (
    "where files stand, what links lead to and what was patched follows from the recipe in the "
    "package, and no recipe was at hand to compare it with"
)
#: finds what is known of a package; gets the manifest, None where there is none, and about.json
Witness = Callable[[Manifest | None, dict[str, bytes]], Evidence]


def verify_package(path: Path, witness: Witness) -> Proof:
    """Prove one package; what is wrong with it is in the proof, never an exception.

    Raises:
        OSError: the file cannot be read.

    """
    bounds = limits()
    try:
        with open_package(path, bounds) as package:
            return _Check(package, path.name, witness, bounds).run()
    except OldFormatError as error:
        return _unread(path, "not provable", (), (error.what,))
    except ArmtorchError as error:
        return _unread(path, "refuted", (Flaw(error.where or path.name, error.what),), ())


def _unread(path: Path, verdict: Verdict, flaws: tuple[Flaw, ...], notes: tuple[str, ...]) -> Proof:
    return Proof(
        package=path.name, verdict=verdict, flaws=flaws, notes=notes, counts={}, patches={}
    )


class _Check:
    """One run over one package."""

    def __init__(self, package: CondaFile, name: str, witness: Witness, bounds: Limits) -> None:
        self._package, self._name, self._bounds = package, name, bounds
        self._info = package.info()
        self._flaws: list[Flaw] = []
        self._manifest: Manifest | None = None
        if NAME in self._info:
            self._manifest = parse_manifest(self._info[NAME], NAME)
        self._evidence = witness(self._manifest, self._info)

    def run(self) -> Proof:
        if self._manifest is None:
            return self._without_manifest()
        manifest = self._manifest
        record = self._record()
        wheel = self._wheel(manifest)
        with nullcontext() if wheel is None else wheel.archive:
            return self._judged(manifest, record, wheel)

    def _judged(
        self, manifest: Manifest, record: dict[str, tuple[str, int]], wheel: Wheel | None
    ) -> Proof:
        contents = read_contents(self._package, manifest, record, self._bounds, wheel)
        self._flaws += contents.flaws
        self._flaws += self._account(manifest, contents)
        layout = self._layout(manifest)
        if layout is not None and (account := self._derive(manifest, layout, record)):
            trusted = self._evidence.recipe is not None
            self._flaws += check_files(
                manifest, layout, account, contents, self._info, record, trusted=trusted
            )
        self._flaws += check_shared(manifest, record, wheel)
        self._flaws += check_metadata(
            self._name, self._info, contents, self._evidence, manifest, record
        )
        return self._proof(contents, wheel, manifest)

    def _without_manifest(self) -> Proof:
        contents = read_contents(self._package, None, {}, self._bounds)
        self._flaws += contents.flaws
        self._flaws += check_metadata(self._name, self._info, contents, self._evidence)
        empty = not contents.files and not contents.links
        return Proof(
            package=self._name,
            verdict="refuted" if self._flaws else ("nothing to prove" if empty else "not provable"),
            flaws=tuple(self._flaws),
            counts={"without account": len(contents.files) + len(contents.links)},
            binaries=contents.binaries,
            patches={},
            recipe="unknown" if self._evidence.recipe is None else "the lock's",
            notes=() if empty else (_NO_MANIFEST,),
        )

    def _record(self) -> dict[str, tuple[str, int]]:
        if _RECORD not in self._info:
            raise MalformedError("it carries a manifest and not upstream's RECORD", where=_RECORD)
        try:
            return read_record(self._info[_RECORD], self._bounds.entries)
        except ValueError as error:
            raise MalformedError(str(error), where=_RECORD) from error

    def _wheel(self, manifest: Manifest) -> Wheel | None:
        """Compare the manifest's source with what is known, and open the wheel if it is the one."""
        known, source = self._evidence, manifest.source
        digest = hashlib.sha256(self._info[_RECORD]).hexdigest()
        self._same(NAME, "source.record_sha256", source.record_sha256, digest)
        self._same(_RECORD, "sha256", digest, known.record_sha256)
        self._same(NAME, "source.sha256", source.sha256, known.wheel_sha256)
        self._same(NAME, "source.size", source.size, known.wheel_size)
        self._same(NAME, "source.purl", source.purl, known.purl)
        if known.wheel is None:
            return None
        with known.wheel.open("rb") as file:
            bytes_of_wheel = hashlib.file_digest(file, "sha256").hexdigest()
        if not self._same(NAME, "source.sha256", source.sha256, bytes_of_wheel):
            return None
        self._same(NAME, "source.size", source.size, known.wheel.stat().st_size)
        try:
            wheel = Wheel(known.wheel, self._bounds.wheel_ratio)
        except RefusedError as error:
            raise MalformedError(str(error), where=known.wheel.name) from error
        self._same(_RECORD, "content", self._info[_RECORD] == wheel.record_bytes, True)
        return wheel

    def _same(self, file: str, what: str, found: object, wanted: object | None) -> bool:
        if wanted is None or found == wanted:
            return True
        self._flaws.append(Flaw(file, f"{what} is {found}, and should be {wanted}"))
        return False

    def _account(self, manifest: Manifest, contents: Contents) -> list[Flaw]:
        """Check that every file is of exactly one kind, and every one that is named is there."""
        kinds: dict[str, Iterable[str]] = {
            "unchanged": manifest.unchanged,
            "patched": manifest.patched,
            "generated": manifest.generated,
            "linked": manifest.linked,
        }
        there = {**contents.files, **contents.links}
        flaws = [
            Flaw(folder, "is an empty folder that the manifest does not account for")
            for folder in contents.folders
            if not any(path.startswith(f"{folder}/") for path in there)
        ]
        named: dict[str, str] = {}
        for kind, paths in kinds.items():
            for path in paths:
                if path in named:
                    flaws.append(Flaw(path, f"is said to be both {named[path]} and {kind}"))
                named[path] = kind
                if path not in there:
                    flaws.append(Flaw(path, f"is said to be {kind}, and is not in the package"))
                elif (path in contents.links) != (kind == "linked"):
                    is_one = "a link" if path in contents.links else "a file"
                    flaws.append(Flaw(path, f"is said to be {kind}, and is {is_one}"))
        flaws += [
            Flaw(path, "is in the package, and the manifest does not account for it")
            for path in there
            if path not in named
        ]
        return flaws

    def _layout(self, manifest: Manifest) -> dict[str, Any] | None:
        """Read the recipe's layout.json, which has to fit its schema and know the wheel."""
        try:
            layout = json.loads(self._info.get(_LAYOUT, b""))
        except (ValueError, RecursionError) as error:
            self._flaws.append(Flaw(_LAYOUT, f"is not there, or no JSON: {error}"))
            return None
        schema = json.loads((DATA / "schemas" / "layout.schema.json").read_text("utf-8"))
        if any(glob.count("*") > _WILDCARDS for glob in _globs(layout)):
            self._flaws.append(Flaw(_LAYOUT, f"has a glob of more than {_WILDCARDS} stars"))
            return None
        if flaw := next(Draft202012Validator(schema).iter_errors(layout), None):
            self._flaws.append(Flaw(_LAYOUT, f"{flaw.json_path}: {flaw.message[:300]}"))
            return None
        wheel = layout["wheels"].get(manifest.source.sha256)
        if wheel is None or wheel["cell"] not in layout["cells"]:
            what = f"knows no wheel of sha256 {manifest.source.sha256}, the manifest's source"
            self._flaws.append(Flaw(_LAYOUT, what))
            return None
        return dict(layout)

    def _derive(
        self, manifest: Manifest, layout: dict[str, Any], record: dict[str, tuple[str, int]]
    ) -> Account | None:
        """Compare the manifest with what follows from the layout and RECORD."""
        sha256 = manifest.source.sha256
        sizes = {member: size for member, (_, size) in record.items()}
        wheel = layout["wheels"][sha256]
        cell = layout["cells"][wheel["cell"]]
        try:
            account = derive(layout, sha256, sizes, manifest.unpatched)
            evidence = _evidence(dist_info(sizes), cell, manifest)
        except ValueError as error:
            self._flaws.append(Flaw(_LAYOUT, str(error)))
            return None
        self._same(NAME, "package", manifest.package, layout["package"])
        self._rows("evidence", manifest.raw["evidence"], evidence)
        self._same(NAME, "source.purl", manifest.source.purl, wheel["purl"])
        self._same(NAME, "source.size", manifest.source.size, wheel["size"])
        self._rows("shared", {"rows": manifest.raw["shared"]}, {"rows": cell.get("shared")})
        for kind, wanted in vars(account).items():
            if kind not in {"patched", "recorded", *_LEFT}:
                self._rows(kind, manifest.raw[kind], wanted)
        self._rows(
            "patched",
            {
                path: {"member": row.member, "with": row.with_, "why": row.why}
                for path, row in manifest.patched.items()
            },
            {
                path: {key: row[key] for key in ("member", "with", "why")}
                for path, row in account.patched.items()
            },
        )
        for kind in _LEFT:
            self._rows(
                kind,
                {str(row["match"]): row for row in manifest.raw[kind]},
                {str(row["match"]): row for row in vars(account)[kind]},
            )
            self._same(NAME, f"rows of {kind}", len(manifest.raw[kind]), len(vars(account)[kind]))
        return account

    def _rows(self, kind: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                what = f"{kind}, {key}: says {found.get(key)}, and should say {wanted.get(key)}"
                self._flaws.append(Flaw(NAME, what))

    def _proof(self, contents: Contents, wheel: Wheel | None, manifest: Manifest) -> Proof:
        verdict: Verdict = "self-consistent"
        if self._flaws:
            verdict = "refuted"
        elif wheel is not None:
            verdict = "proven (wheel)"
        elif self._evidence.record_sha256 is not None:
            verdict = "proven (RECORD)"
        known = self._evidence.recipe is not None
        return Proof(
            package=self._name,
            verdict=verdict,
            flaws=tuple(self._flaws),
            purl=manifest.source.purl,
            commit=manifest.source.commit,
            counts={
                "unchanged": len(manifest.unchanged),
                "linked": len(manifest.linked),
                "patched": len(manifest.patched),
                "patches that upstream made needless": len(manifest.unpatched),
                "generated": len(manifest.generated),
                "dropped": sum(row.members for row in manifest.dropped),
                "elsewhere": sum(row.members for row in manifest.elsewhere),
                "replaced": sum(row.members for row in manifest.replaced),
            },
            binaries=contents.binaries,
            patches={
                path: f"{row.before!r} -> {row.with_!r}" for path, row in manifest.patched.items()
            },
            floor=manifest.floor,
            recipe="the lock's" if known else "unknown",
            notes=() if known else (_NO_RECIPE,),
        )


def _evidence(folder: str, cell: dict[str, Any], manifest: Manifest) -> dict[str, str]:
    """Return the copies of upstream's own files that have to be below info/armtorch."""
    members = [f"{folder}/RECORD", f"{folder}/METADATA"]
    if manifest.source.commit:
        members.append(cell["commit"]["member"])
    return {f"info/armtorch/{member.rpartition('/')[2]}": member for member in members}


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
