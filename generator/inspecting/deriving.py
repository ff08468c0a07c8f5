"""Works out anew what a package's manifest has to say, from the recipe's layout and RECORD.

It is written apart from templates/build.py, which wrote the manifest: one checks the other.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from packaging.utils import canonicalize_name

from generator.inspecting.read_wheel import decode, pattern

SITE: Final = "site-packages"
#: never taken over from a wheel (PyPA, "Recording installed projects"), or made anew
_NOT_SORTED: Final = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "METADATA", "RECORD"})


#: a row of RECORD that csv reads as it stands, where nothing in the file is quoted
_PLAIN: Final = re.compile(
    r"^([^,\r\n]+),sha256=([A-Za-z0-9_-]{43}),([0-9]{1,20})\r?\n", re.MULTILINE
)
#: what csv would quote
_QUOTED: Final = re.compile(r"[\",\r\n]")


#: RECORD's digest in hexadecimal: the wheels of a cell have ten thousand in common
hexadecimal: Final = lru_cache(maxsize=1 << 16)(decode)


class _Matching(dict[str, int | None]):
    """Which of some lists of globs is the first that matches a path; asked once for each path.

    The wheels of a cell have ten thousand paths in common.
    """

    def __init__(self, lists: tuple[tuple[str, ...], ...]) -> None:
        super().__init__()
        alternatives = ("|".join(pattern(glob).pattern for glob in globs) for globs in lists)
        self._pattern = re.compile("|".join(f"({each or '(?!)'})" for each in alternatives))

    def __missing__(self, path: str) -> int | None:
        found = self._pattern.fullmatch(path)
        self[path] = number = found.lastindex - 1 if found and found.lastindex else None
        return number


_matching = lru_cache(maxsize=8)(_Matching)


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


def of_wheel(
    layout: Mapping[str, Any], rows: Literal["rules", "links"], wheel_sha256: str
) -> list[dict[str, Any]]:
    """Return the rows of layout.json that are for a wheel's cell: for all cells, or naming it."""
    cell = layout["wheels"][wheel_sha256]["cell"]
    return [row for row in layout[rows] if cell in row.get("cells", (cell,))]


def stated(
    layout: Mapping[str, Any], wheel_sha256: str, key: Literal["dist_info", "shared"]
) -> Mapping[str, Any] | None:
    """Return what layout.json says of a wheel in its own row, or else in that of its cell."""
    wheel = layout["wheels"][wheel_sha256]
    found: Mapping[str, Any] | None = wheel.get(key, layout["cells"][wheel["cell"]].get(key))
    return found


def derive(
    layout: Mapping[str, Any],
    wheel_sha256: str,
    sizes: Mapping[str, int],
    needless: Collection[str] = (),
) -> Account:
    """Say what becomes of every member of a wheel.

    ``sizes`` are those of every member that RECORD lists. ``needless`` are package paths whose text
    is said not to want its patch, which only a look into them can show (`remaking.check_files`).
    Raises ValueError: the layout has no rule for a member.
    """
    rules = of_wheel(layout, "rules", wheel_sha256)
    account = Account()
    taken = _sorted(rules, sizes)
    for rule, members in zip(rules, taken, strict=True):
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
    for row in of_wheel(layout, "links", wheel_sha256):
        account.linked[row["at"]] = {"to": row["to"], "of": row["of"], "why": row["why"]}
    for path in sorted(needless):
        if path in account.patched and not account.patched[path]["read"]:
            row = account.patched.pop(path)
            account.unchanged[path] = row["member"]
            account.unpatched[path] = {key: row[key] for key in ("pattern", "probe", "why")}
    _generated(account, layout, sizes, own=bool(stated(layout, wheel_sha256, "dist_info")))
    account.licenses.update(_licenses(layout, sizes))
    return account


def _sorted(rules: list[dict[str, Any]], sizes: Mapping[str, int]) -> list[list[str]]:
    first = _matching(tuple(tuple(rule["match"]) for rule in rules))
    taken: list[list[str]] = [[] for _ in rules]
    for member in sorted(sizes):
        folder, _, name = member.rpartition("/")
        if name in _NOT_SORTED and folder.endswith(".dist-info") and "/" not in folder:
            continue
        if (number := first[member]) is None:
            raise ValueError(f"no rule of layout.json says what to do with {member}")
        taken[number].append(member)
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
    sizes: Mapping[str, int],
    *,
    own: bool,
) -> None:
    if own:  # dist-info is this package's
        folder = f"{SITE}/{dist_info(sizes)}"
        account.generated[f"{folder}/METADATA"] = {
            "how": "without-requirements",
            "from": "info/armtorch/METADATA",
        }
        account.generated[f"{folder}/INSTALLER"] = {"how": "installer", "from": ""}
        account.generated[f"{folder}/RECORD"] = {"how": "record", "from": "info/armtorch/RECORD"}
    for path, row in layout["test_files"].items():
        account.generated[path] = {"how": "test-file", "from": row["from"]}


def _licenses(
    layout: Mapping[str, Any], sizes: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, str]]]:
    own = _matching((tuple(layout["licenses"]),))
    for member in sorted(member for member in sizes if own[member] is not None):
        inner = member.split("/", 1)[1].removeprefix("licenses/")
        yield f"info/licenses/licenses/{inner}", {"member": member}
    for row in layout["bundled_licenses"]:
        part = _matching((tuple(row["match"]),))
        if any(part[member] is not None for member in sizes):
            for name in row["texts"]:
                place = f"info/licenses/licenses/bundled/{name}"
                yield place, {"text": name, "part": row["part"]}


def dist_info(members: Mapping[str, object]) -> str:
    """Return the name of a wheel's dist-info folder, from the one METADATA in it."""
    found = [
        member.split("/")[0]
        for member in members
        if member.endswith(".dist-info/METADATA") and member.count("/") == 1
    ]
    if len(found) != 1:
        raise ValueError(f"RECORD lists {len(found)} METADATA files of a dist-info folder, not one")
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
    if not _QUOTED.search("".join(rows)):  # as csv writes it, in a third of the time
        lines = [f"{path},{rows[path][0]},{rows[path][1]}\n" for path in sorted(rows)]
        return "".join(lines).encode("utf-8", "surrogateescape")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((path, *row) for path, row in sorted(rows.items()))
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_record(content: bytes, limit: int) -> dict[str, tuple[str, int]]:
    """Read a wheel's RECORD as member -> (urlsafe base64 sha256, bytes), RECORD itself left out.

    Raises ValueError: a row is no row of a wheel's RECORD, or there are too many.
    """
    try:
        text = content.decode("utf-8")
        # what stands between the plain rows, and their three columns
        left, *columns = (text, (), (), ()) if '"' in text else _columns(_PLAIN.split(text))
        found = {path: (digest, int(size)) for path, digest, size in zip(*columns, strict=True)}
        if len(found) != len(columns[0]):
            raise ValueError("a path stands in it twice")  # noqa: TRY301 - one outcome for all of them
        for row in csv.reader(io.StringIO(left, newline="")):
            path, digest, size = row
            if path.endswith(".dist-info/RECORD") and not digest and not size:
                continue
            if path in found or not size.isascii():
                raise ValueError(f"row {row!r}")  # noqa: TRY301
            if not re.fullmatch("sha256=[A-Za-z0-9_-]{43}", digest):
                raise ValueError(f"row {row!r} has no sha256")  # noqa: TRY301
            found[path] = (digest.removeprefix("sha256="), int(size))
        if len(found) > limit:
            raise ValueError(f"it has more than {limit} rows")  # noqa: TRY301
    except (ValueError, csv.Error) as error:
        raise ValueError(f"RECORD is no table of a wheel: {error}") from error
    return found


def _columns(parts: list[str]) -> tuple[str, list[str], list[str], list[str]]:
    return "".join(parts[::4]), parts[1::4], parts[2::4], parts[3::4]
