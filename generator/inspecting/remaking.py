"""Makes generated and patched files anew and compares them, and follows links."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from generator.inspecting.contents import Contents, resolve
from generator.inspecting.deriving import SITE, Account, metadata_without, record_text
from generator.inspecting.manifest import Generated, Manifest, Patched
from generator.inspecting.proof import Flaw
from generator.inspecting.read_wheel import decode, encode

_INSTALLER: Final = b"conda\n"


def check_files(
    manifest: Manifest,
    layout: Mapping[str, Any],
    account: Account,
    contents: Contents,
    info: Mapping[str, bytes],
    record: Mapping[str, tuple[str, int]],
    *,
    trusted: bool,
) -> Iterator[Flaw]:
    """Yield every generated, patched or linked file that is not what it has to be.

    Args:
        manifest: what every file is.
        layout: of the recipe; it knows the manifest's wheel.
        account: what follows from the layout.
        contents: what was seen.
        info: the metadata files.
        record: of the wheel.
        trusted: the layout is known from outside the package, so its regular expressions may run.

    """
    for path, link in manifest.linked.items():
        target = contents.links.get(path)
        if target is not None and (reached := resolve(path, target)) != link.to:
            yield Flaw(path, f"leads to {reached or target}, and the manifest says {link.to}")
    yield from _check_patches(manifest, layout, account, contents, record, trusted=trusted)
    for path, made in manifest.generated.items():
        seen = contents.files.get(path)
        if seen is None:
            continue
        rules = layout["wheels"][manifest.source.sha256]["dist_info"] or {}
        if made.how == "record":
            rows = _rows(manifest, account, contents, record) | {path: ("", "")}
            wanted: bytes | None = _record(rows, rules)
        else:
            wanted = _made(made, rules, info)
        if wanted is None:
            yield Flaw(path, f"cannot be made anew: {made.from_} is missing")
        elif seen.sha256 != hashlib.sha256(wanted).hexdigest():
            where = _first_difference(wanted, seen.content or b"")
            what = f"is not what {made.how} gives: it differs from byte {where} on"
            yield Flaw(path, what)


def _check_patches(
    manifest: Manifest,
    layout: Mapping[str, Any],
    account: Account,
    contents: Contents,
    record: Mapping[str, tuple[str, int]],
    *,
    trusted: bool,
) -> Iterator[Flaw]:
    for path, patch in manifest.patched.items():
        seen = contents.files.get(path)
        if seen is not None and (what := _unlike_patch(patch, seen.content, record)):
            yield Flaw(path, what)
        elif seen is not None and trusted and not _found_once(patch, seen.content or b"", layout):
            yield Flaw(path, "was patched in another place than the recipe's pattern finds")
    for path, needless in account.unpatched.items():
        seen = contents.files.get(path)
        if seen is not None and trusted and _wants(needless, seen.content):
            yield Flaw(path, "is upstream's, and has what it is to be patched for")


def _unlike_patch(
    patch: Patched, content: bytes | None, record: Mapping[str, tuple[str, int]]
) -> str:
    """Undo the patch and compare with upstream's digest; empty when all is well."""
    if content is None or (row := record.get(patch.member)) is None:
        return f"cannot be compared with upstream's {patch.member}"
    if hashlib.sha256(content).hexdigest() != patch.sha256:
        return "its content has another sha256 than the manifest says"
    original = _undo(patch, content)
    if original is None:
        return f"does not have the patch's text at byte {patch.at}"
    if hashlib.sha256(original).hexdigest() != decode(row[0]):
        return f"with its patch undone it is not upstream's {patch.member}"
    return ""


def _undo(patch: Patched, content: bytes) -> bytes | None:
    new = patch.with_.encode("utf-8")
    if content[patch.at : patch.at + len(new)] != new:
        return None
    return content[: patch.at] + patch.before.encode("utf-8") + content[patch.at + len(new) :]


def _found_once(patch: Patched, content: bytes, layout: Mapping[str, Any]) -> bool:
    """Whether a pattern of the layout with this replacement finds that place and no other."""
    text = (_undo(patch, content) or b"").decode("utf-8", "replace")
    for cell in layout["cells"].values():
        for rule in cell["rules"]:
            if "patch" in rule and rule["patch"]["with"] == patch.with_:
                found = list(re.finditer(rule["patch"]["pattern"], text))
                if len(found) == 1 and len(text[: found[0].start()].encode()) == patch.at:
                    return found[0][0] == patch.before
    return False


def _wants(patch: Mapping[str, str], content: bytes | None) -> bool:
    """Whether a text has what a patch looks for, or the reason for it; too long a one may."""
    if content is None:
        return True
    text = content.decode("utf-8", "replace")
    return any(re.search(patch[key], text) for key in ("pattern", "probe"))


def _made(made: Generated, rules: Mapping[str, Any], info: Mapping[str, bytes]) -> bytes | None:
    """Return the bytes that a generated file has to have, None when what it is made from lacks."""
    if made.how == "installer":
        return _INSTALLER
    source = info.get(made.from_)
    if made.how == "test-file" or source is None:
        return source
    return metadata_without(source, set(rules.get("drop_requirements", ())))


def _rows(
    manifest: Manifest,
    account: Account,
    contents: Contents,
    record: Mapping[str, tuple[str, int]],
) -> dict[str, tuple[str, str]]:
    """Return what RECORD says of every file of the distribution, by package path."""
    upstreams = dict(manifest.unchanged)
    upstreams |= {
        f"{SITE}/{name}": name for name, kind in account.recorded.items() if kind == "file"
    }
    rows = {
        path: (f"sha256={record[member][0]}", str(record[member][1]))
        for path, member in upstreams.items()
        if member in record
    }
    for path in (*manifest.patched, *manifest.generated):
        if path in contents.files:
            seen = contents.files[path]
            rows[path] = (f"sha256={encode(bytes.fromhex(seen.sha256))}", str(seen.size))
    links = [f"{SITE}/{name}" for name, kind in account.recorded.items() if kind == "link"]
    return rows | dict.fromkeys((*manifest.linked, *links), ("", ""))


def _record(rows: Mapping[str, tuple[str, str]], rules: Mapping[str, Any]) -> bytes:
    """Write RECORD: what is in site-packages, and the commands that the client makes."""
    inside = {
        path.removeprefix(f"{SITE}/"): row
        for path, row in rows.items()
        if path.startswith(f"{SITE}/")
    }
    return record_text(inside | dict.fromkeys(rules.get("commands", ()), ("", "")))


def _first_difference(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
