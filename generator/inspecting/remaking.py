"""Makes anew what follows from a recipe's layout and upstream's RECORD: files, links, manifest.

Upstream's bytes are known by their sha256 alone. Texts of theirs that are needed whole (METADATA, a
patched file) come out of the package and count once they have RECORD's sha256.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final

from generator.inspecting.contents import Contents
from generator.inspecting.deriving import (
    SITE,
    Account,
    dist_info,
    hexadecimal,
    metadata_without,
    record_text,
    stated,
)
from generator.inspecting.manifest import NAME, Manifest, Patched, manifest_text
from generator.inspecting.proof import Flaw
from generator.inspecting.read_wheel import encode
from generator.model.floor import RaisedFloor

RECORD: Final = "info/armtorch/RECORD"
METADATA: Final = "info/armtorch/METADATA"
PATHS: Final = "info/paths.json"
_INSTALLER: Final = b"conda\n"
_EMPTY: Final = hashlib.sha256().hexdigest()
#: where every client puts site-packages, as far as relative links can tell
_PLACED: Final = f"lib/python/{SITE}"
#: parts of a manifest that are the account's as they are
_OWN: Final = (
    "unchanged",
    "unpatched",
    "linked",
    "generated",
    "licenses",
    "dropped",
    "elsewhere",
    "replaced",
)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a package is made from."""

    #: layout.json
    layout: Mapping[str, Any]
    #: whether it is known from outside the package, so that its regular expressions may run
    trusted: bool
    #: of the wheel
    sha256: str
    #: upstream's RECORD, and what it says: member -> (urlsafe base64 sha256, bytes)
    record_bytes: bytes
    record: Mapping[str, tuple[str, int]]
    account: Account

    @property
    def wheel(self) -> Mapping[str, Any]:
        """What the layout says of the wheel."""
        found: Mapping[str, Any] = self.layout["wheels"][self.sha256]
        return found


@dataclass
class Remade:
    """A package as it has to be."""

    #: path -> sha256 and bytes
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: path -> target
    links: dict[str, str] = field(default_factory=dict)
    #: below info/: the manifest, paths.json, and what of upstream's is there
    info: dict[str, bytes] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)


def remake(
    known: Known,
    manifest: Manifest,
    contents: Contents,
    info: Mapping[str, bytes],
    floor: RaisedFloor | None,
) -> Remade:
    """Make everything anew.

    ``manifest`` is the package's own, which says where upstream's text was patched, ``contents``
    has the texts that were. ``floor`` is what a binary needs beyond what the recipe states.
    """
    account, made = known.account, Remade()
    for path, member in account.unchanged.items():
        made.files[path] = _row(known, member)
    for path, row in account.linked.items():
        made.links[path] = _target(path, row["to"])
        if not {"", ".."}.isdisjoint(re.split(r"[/\\]", row["to"])):
            made.flaws.append(Flaw(path, f"leads out of the package, to {row['to']}"))
    patched = _patched(known, manifest, contents, made)
    made.flaws += _needless(known, contents)
    evidence, commit = _evidence(known, manifest, info, made)
    _licenses(known, info, made)
    _generated(known, info, made)
    value: dict[str, Any] = {
        "schema": 2,
        "package": known.layout["package"],
        "unpacker": known.layout["unpacker"],
        "source": {
            **{key: known.wheel[key] for key in ("purl", "size", "hash_origin")},
            "sha256": known.sha256,
            "record_sha256": hashlib.sha256(known.record_bytes).hexdigest(),
            "commit": commit,
        },
        "evidence": evidence,
        "patched": patched,
        "shared": stated(known.layout, known.sha256, "shared"),
        **{key: vars(account)[key] for key in _OWN},
        **({"floor": asdict(floor)} if floor is not None else {}),
    }
    made.info[NAME] = manifest_text(value)
    made.info[PATHS] = paths_text(made)
    return made


def paths_text(made: Remade) -> bytes:
    """Return paths.json (CEP 34) of these files and links, as rattler-build writes it."""
    rows = []
    # by their components
    for path in sorted((*made.files, *made.links), key=lambda each: each.replace("/", "\0")):
        if path in made.files:
            kind, (sha256, size) = "hardlink", made.files[path]
        else:
            target = made.links[path]
            kind, size = "softlink", len(target.encode())
            sha256 = made.files.get(_reached(path, made.links), (_EMPTY, 0))[0]
        name = json.dumps(path, ensure_ascii=False)
        rows.append(
            f'    {{\n      "_path": {name},\n      "path_type": "{kind}",\n'
            f'      "sha256": "{sha256}",\n      "size_in_bytes": {size}\n    }}'
        )
    text = "[\n" + ",\n".join(rows) + "\n  ]" if rows else "[]"
    return f'{{\n  "paths": {text},\n  "paths_version": 1\n}}'.encode()


def _reached(path: str, links: Mapping[str, str]) -> str:
    """Return what a link leads to where rattler-build packs it, which is not yet site-packages."""
    for _ in links:
        if path not in links:
            break
        (folder, name), (at, _, _) = posixpath.split(links[path]), path.rpartition("/")
        path = posixpath.normpath(f"{posixpath.join(at, folder)}/{name}")
    return path


def _target(path: str, to: str) -> str:
    """Return the relative link at one package path to another."""
    (at, _, _), (folder, name) = path.rpartition("/"), posixpath.split(to)
    return posixpath.normpath(f"{_between(at, folder)}/{name}")


# links go from folder to folder, thousands of them between the same two


@lru_cache
def _between(start: str, to: str) -> str:
    return posixpath.relpath(
        *(_swap(posixpath.join(each, "."), SITE, _PLACED) for each in (to, start))
    )


def _swap(path: str, head: str, by: str) -> str:
    return f"{by}{path.removeprefix(head)}" if path.startswith(f"{head}/") else path


def _row(known: Known, member: str) -> tuple[str, int]:
    digest, size = known.record[member]
    return hexadecimal(digest), size


def _is_member(known: Known, content: bytes, member: str) -> bool:
    row = known.record.get(member)
    return row is not None and hashlib.sha256(content).hexdigest() == hexadecimal(row[0])


def _patched(
    known: Known, manifest: Manifest, contents: Contents, made: Remade
) -> dict[str, dict[str, object]]:
    """Patch upstream's texts again; the manifest's rows for them."""
    rows: dict[str, dict[str, object]] = {}
    for path, rule in known.account.patched.items():
        seen, said = contents.files.get(path), manifest.patched.get(path)
        content = seen.content if seen is not None else None
        original = _undone(said, content) if said is not None and content is not None else None
        if original is None or not _is_member(known, original, rule["member"]):
            what = f"with its patch undone it is not upstream's {rule['member']}"
            made.flaws.append(Flaw(path, what))
            made.files[path] = (seen.sha256, seen.size) if seen is not None else ("", 0)
            continue
        place = _place(known, rule, original, said)
        if place is None:
            what = "was patched in another place than the recipe's pattern finds"
            made.flaws.append(Flaw(path, what))
            continue
        at, before = place
        rest = original[at + len(before) :]
        anew = original[:at] + rule["with"].encode() + rest
        digest = hashlib.sha256(anew).hexdigest()
        made.files[path] = digest, len(anew)
        rows[path] = {
            **{key: rule[key] for key in ("member", "with", "why")},
            "at": at,
            "before": before.decode(),
            "sha256": digest,
        }
    return rows


def _needless(known: Known, contents: Contents) -> Iterator[Flaw]:
    """Check that texts which stay upstream's do not have what a patch looks for, or its reason."""
    for path, patch in known.account.unpatched.items() if known.trusted else ():
        seen = contents.files.get(path)
        text = (seen.content or b"").decode("utf-8", "replace") if seen is not None else ""
        if seen is not None and any(re.search(patch[key], text) for key in ("pattern", "probe")):
            yield Flaw(path, "is upstream's, and has what it is to be patched for")


def _undone(said: Patched, content: bytes) -> bytes | None:
    new = said.with_.encode("utf-8", "surrogatepass")
    if content[said.at : said.at + len(new)] != new:
        return None
    before = said.before.encode("utf-8", "surrogatepass")
    return content[: said.at] + before + content[said.at + len(new) :]


def _place(
    known: Known, rule: Mapping[str, Any], original: bytes, said: Patched | None
) -> tuple[int, bytes] | None:
    """Return where the recipe's pattern finds what is to be replaced, and what that is."""
    if not known.trusted:
        return (said.at, said.before.encode()) if said is not None else None
    try:
        text = original.decode("utf-8")
    except UnicodeDecodeError:
        return None
    found = list(re.finditer(rule["pattern"], text))
    if len(found) != 1:
        return None
    return len(text[: found[0].start()].encode()), found[0][0].encode()


def _evidence(
    known: Known, manifest: Manifest, info: Mapping[str, bytes], made: Remade
) -> tuple[dict[str, str], str]:
    """Return upstream's own files below info/armtorch, and the commit that one of them states."""
    folder = dist_info(known.record)
    members = {RECORD: f"{folder}/RECORD", METADATA: f"{folder}/METADATA"}
    made.info[RECORD] = known.record_bytes
    rule, commit = known.layout.get("commit"), ""
    if rule is not None and rule["member"] in known.record:
        file = f"info/armtorch/{rule['member'].rpartition('/')[2]}"
        members[file] = rule["member"]
        text = info.get(file, b"").decode("utf-8", "replace")
        if known.trusted:
            found = re.search(rule["pattern"], text, re.MULTILINE)
            commit = found[1] if found is not None else ""
        elif manifest.source.commit in text:
            commit = manifest.source.commit
    for file, member in members.items():
        if file != RECORD:
            _take(known, info, file, member, made)
    return members, commit


def _licenses(known: Known, info: Mapping[str, bytes], made: Remade) -> None:
    texts = {
        name: sha256
        for row in known.layout["bundled_licenses"]
        for name, sha256 in row["texts"].items()
    }
    for file, origin in known.account.licenses.items():
        if "member" in origin:
            _take(known, info, file, origin["member"], made)
        else:
            made.info[file] = content = info.get(file, b"")
            if hashlib.sha256(content).hexdigest() != texts[origin["text"]]:
                made.flaws.append(Flaw(file, f"is not the recipe's {origin['text']}"))


def _take(known: Known, info: Mapping[str, bytes], file: str, member: str, made: Remade) -> None:
    """Take over a file below info/ that is a copy of a member."""
    if file not in info:
        made.flaws.append(Flaw(file, f"is missing: it has to be upstream's {member}"))
    elif not _is_member(known, info[file], member):
        made.flaws.append(Flaw(file, f"is not upstream's {member}"))
    made.info[file] = info.get(file, b"")


def _generated(known: Known, info: Mapping[str, bytes], made: Remade) -> None:
    """Make what no wheel has in this form; RECORD comes last, since it is about the others."""
    rules = stated(known.layout, known.sha256, "dist_info") or {}
    dropped = set(rules.get("drop_requirements", ()))
    record = ""
    for path, row in known.account.generated.items():
        if row["how"] == "record":
            record = path
            continue
        if row["how"] == "test-file":
            said = known.layout["test_files"][path]
            made.files[path] = said["sha256"], said["size"]
            continue
        if row["how"] == "installer":
            content = _INSTALLER
        else:
            content = metadata_without(info.get(METADATA, b""), dropped)
        made.files[path] = hashlib.sha256(content).hexdigest(), len(content)
    if record:
        content = record_text(
            _rows(known, made, record) | dict.fromkeys(rules.get("commands", ()), ("", ""))
        )
        made.files[record] = hashlib.sha256(content).hexdigest(), len(content)


def _rows(known: Known, made: Remade, record: str) -> dict[str, tuple[str, str]]:
    """Return what the new RECORD says of each file of the distribution."""
    rows = {
        path: (f"sha256={encode(bytes.fromhex(sha256))}" if sha256 else "", str(size))
        for path, (sha256, size) in made.files.items()
    }
    rows |= dict.fromkeys((*made.links, record), ("", ""))
    inside = {
        path.removeprefix(f"{SITE}/"): row
        for path, row in rows.items()
        if path.startswith(f"{SITE}/")
    }
    for member, kind in known.account.recorded.items():
        digest, size = known.record[member]
        inside[member] = (f"sha256={digest}", str(size)) if kind == "file" else ("", "")
    return inside
