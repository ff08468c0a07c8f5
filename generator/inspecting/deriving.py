"""Works out anew what a package's manifest has to say, from the recipe's layout and RECORD.

It is written apart from templates/build.py, which wrote the manifest: one checks the other.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from packaging.utils import canonicalize_name

from generator.inspecting.read_wheel import pattern

SITE: Final = "site-packages"
#: never taken over from a wheel (PyPA, "Recording installed projects"), or made anew
_NOT_SORTED: Final = ("INSTALLER", "REQUESTED", "direct_url.json", "METADATA", "RECORD")


@dataclass
class Account:
    """The parts of a manifest that follow from the layout and RECORD alone."""

    unchanged: dict[str, str] = field(default_factory=dict)
    #: path -> member and the layout's patch
    patched: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: of them, those that stay upstream's where the text does not want the patch
    unpatched: dict[str, dict[str, Any]] = field(default_factory=dict)
    linked: dict[str, dict[str, str]] = field(default_factory=dict)
    generated: dict[str, dict[str, str]] = field(default_factory=dict)
    licenses: dict[str, dict[str, str]] = field(default_factory=dict)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    elsewhere: list[dict[str, Any]] = field(default_factory=list)
    replaced: list[dict[str, Any]] = field(default_factory=list)
    #: members that another package of the same distribution has, which RECORD lists all the same
    recorded: dict[str, Literal["file", "link"]] = field(default_factory=dict)


def derive(
    layout: Mapping[str, Any],
    wheel_sha256: str,
    sizes: Mapping[str, int],
    needless: Collection[str] = (),
) -> Account:
    """Say what becomes of every member of a wheel.

    Args:
        layout: layout.json, which fits its schema.
        wheel_sha256: a key of the layout's ``wheels``.
        sizes: bytes of every member that RECORD lists.
        needless: package paths whose text is said not to want its patch, which only a look into
            them can show (`remaking.check_files`).

    Raises:
        ValueError: the layout has no rule for a member.

    """
    wheel = layout["wheels"][wheel_sha256]
    cell = layout["cells"][wheel["cell"]]
    account = Account()
    taken = _sorted(cell["rules"], sizes)
    for rule, members in zip(cell["rules"], taken, strict=True):
        left = {
            "match": rule["match"],
            "why": rule.get("why", ""),
            "members": len(members),
            "bytes": sum(sizes[member] for member in members),
        }
        if rule["do"] == "drop" and members:
            account.dropped.append(left)
        elif rule["do"] == "leave" and members:
            account.elsewhere.append({"package": rule["of"], **left})
            if "record" in rule:
                account.recorded |= dict.fromkeys(members, rule["record"])
        else:
            if rule["do"] == "base" and members:
                account.replaced.append({"package": rule["of"], **left})
            for member in members:
                _place(account, layout["package"], rule, member)
    for row in cell["links"]:
        account.linked[row["at"]] = {"to": row["to"], "of": row["of"], "why": row["why"]}
    for path in sorted(needless):
        if path in account.patched and not account.patched[path]["read"]:
            row = account.patched.pop(path)
            account.unchanged[path] = row["member"]
            account.unpatched[path] = {key: row[key] for key in ("pattern", "probe", "why")}
    _generated(account, layout, wheel, sizes)
    account.licenses.update(_licenses(layout, sizes))
    return account


def _sorted(rules: list[dict[str, Any]], sizes: Mapping[str, int]) -> list[list[str]]:
    # one alternative for each rule, of which the first that matches counts
    compiled = re.compile(
        "|".join(
            f"({'|'.join(pattern(glob).pattern for glob in rule['match']) or '(?!)'})"
            for rule in rules
        )
    )
    taken: list[list[str]] = [[] for _ in rules]
    for member in sorted(sizes):
        folder, _, name = member.rpartition("/")
        if folder.endswith(".dist-info") and "/" not in folder and name in _NOT_SORTED:
            continue
        found = compiled.fullmatch(member)
        if found is None or found.lastindex is None:
            message = f"no rule of layout.json says what to do with {member}"
            raise ValueError(message)
        taken[found.lastindex - 1].append(member)
    return taken


def _place(account: Account, package: str, rule: dict[str, Any], member: str) -> None:
    if rule["do"] == "base":
        folder, _, name = member.rpartition("/")
        for link in (name, rule["to"].rpartition("/")[2]):
            at = f"{rule.get('at') or f'{SITE}/{folder}'}/{link}"
            if at != rule["to"]:
                row = {"to": rule["to"], "of": rule["of"], "instead_of": member}
                account.linked.setdefault(at, row)
        return
    path = f"{rule['to']}/{member[len(rule['from']) + 1 :] if rule.get('from') else member}"
    if rule["do"] == "link":
        account.linked[f"{SITE}/{member}"] = {"to": path, "of": rule["of"]}
        return
    if "patch" in rule:
        account.patched[path] = {"member": member, **rule["patch"]}
    else:
        account.unchanged[path] = member
    if rule.get("link_back"):
        account.linked[f"{SITE}/{member}"] = {"to": path, "of": package}


def _generated(
    account: Account,
    layout: Mapping[str, Any],
    wheel: Mapping[str, Any],
    sizes: Mapping[str, int],
) -> None:
    if wheel.get("dist_info"):
        folder = f"{SITE}/{dist_info(sizes)}"
        account.generated[f"{folder}/METADATA"] = {
            "how": "without-requirements",
            "from": "info/armtorch/METADATA",
        }
        account.generated[f"{folder}/INSTALLER"] = {"how": "installer", "from": ""}
        account.generated[f"{folder}/RECORD"] = {"how": "record", "from": "info/armtorch/RECORD"}
    for path in layout["added_by_rattler_build"]:
        name = path.rpartition("/")[2]
        account.generated[path] = {"how": "test-file", "from": f"info/recipe/{name}"}


def _licenses(
    layout: Mapping[str, Any], sizes: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, str]]]:
    own = [pattern(glob) for glob in layout["licenses"]]
    for member in sorted(sizes):
        if any(glob.fullmatch(member) for glob in own):
            inner = member.split("/", 1)[1].removeprefix("licenses/")
            yield f"info/licenses/licenses/{inner}", {"member": member}
    for row in layout["bundled_licenses"]:
        globs = [pattern(glob) for glob in row["match"]]
        if any(glob.fullmatch(member) for member in sizes for glob in globs):
            for name in row["texts"]:
                place = f"info/licenses/licenses/bundled/{name}"
                yield place, {"recipe": name, "part": row["part"]}


def dist_info(members: Mapping[str, object]) -> str:
    """Return the name of a wheel's dist-info folder, from the one METADATA in it."""
    found = [
        member.split("/")[0]
        for member in members
        if member.endswith(".dist-info/METADATA") and member.count("/") == 1
    ]
    if len(found) != 1:
        message = f"RECORD lists {len(found)} METADATA files of a dist-info folder, not one"
        raise ValueError(message)
    return found[0]


def metadata_without(content: bytes, projects: set[str]) -> bytes:
    """Return METADATA without the Requires-Dist lines of some projects (core metadata)."""
    kept, header = [], True
    for line in content.splitlines(keepends=True):
        header = header and line.strip() != b""
        name, _, value = line.partition(b": ")
        if not (header and name == b"Requires-Dist" and _project(value) in projects):
            kept.append(line)
    return b"".join(kept)


def _project(requirement: bytes) -> str:
    found = re.match(rb"[A-Za-z0-9._-]*", requirement.strip())
    return canonicalize_name(found[0].decode("ascii")) if found else ""


def record_text(rows: Mapping[str, tuple[str, str]]) -> bytes:
    """Return a RECORD: path, hash and size columns, sorted by path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((path, *row) for path, row in sorted(rows.items()))
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_record(content: bytes, limit: int) -> dict[str, tuple[str, int]]:
    """Read a wheel's RECORD as member -> (urlsafe base64 sha256, bytes), RECORD itself left out.

    Raises:
        ValueError: a row is no row of a wheel's RECORD, or there are too many.

    """
    found: dict[str, tuple[str, int]] = {}
    try:
        for row in csv.reader(io.StringIO(content.decode("utf-8"), newline="")):
            path, digest, size = row
            if path.endswith(".dist-info/RECORD") and not digest and not size:
                continue
            if path in found or len(found) >= limit or not size.isascii():
                raise ValueError(f"row {row!r}")  # noqa: TRY301 - one outcome for all of them
            if not re.fullmatch("sha256=[A-Za-z0-9_-]{43}", digest):
                raise ValueError(f"row {row!r} has no sha256")  # noqa: TRY301
            found[path] = (digest.removeprefix("sha256="), int(size))
    except (ValueError, csv.Error) as error:
        message = f"RECORD is no table of a wheel: {error}"
        raise ValueError(message) from error
    return found
