"""Unpacks one upstream wheel into a conda package, as layout.json of its recipe says.

rattler-build runs this file (``script: {interpreter: python, file: ../../_unpack/build.py}``); all
recipes have it in common, and it uses the standard library only. No binary byte is changed: every
member that is read must have the sha256 and size that the wheel's RECORD states, and what becomes
of every member is written to ``info/armtorch/manifest.json`` inside the package.

Sources of the rules: binary distribution format and RECORD
(packaging.python.org/specifications/binary-distribution-format, recording-installed-packages).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# before the imports that would leave a __pycache__ beside this file
sys.dont_write_bytecode = True

from equivalence import normalise  # noqa: E402
from read_wheel import (  # noqa: E402
    CHUNK,
    RefusedError,
    Wheel,
    check_names,
    decode,
    encode,
    member_time,
    pattern,
    refuse,
)

#: where this file lies, with the modules that it is made of, licence texts and tests
HERE = Path(__file__).parent
SCRIPTS = ("build.py", "equivalence.py", "read_wheel.py")
SITE = "site-packages"
#: these belong to whoever installs (recording-installed-packages), so upstream's are not taken over
INSTALLERS_OWN = ("INSTALLER", "REQUESTED", "direct_url.json")
#: made anew from upstream's; upstream's own go to info/armtorch
REWRITTEN = ("METADATA", "RECORD")
#: a rule of layout.json and the members it got
Sorted = list[tuple[dict[str, Any], list[str]]]


# ---- what this is -------------------------------------------------------------------------------


def check_unpacker(wanted: str) -> None:
    """Refuse to be another unpacker than the recipe, and so the package, says.

    Its digest is that of the lines that ``sha256sum build.py equivalence.py read_wheel.py`` prints.
    """
    lines = [f"{hashlib.sha256((HERE / name).read_bytes()).hexdigest()}  {name}\n"
             for name in SCRIPTS]
    found = hashlib.sha256("".join(lines).encode()).hexdigest()
    if found != wanted:
        refuse(f"{HERE} has sha256 {found}, and the recipe was made for {wanted}",
               "run `armtorch render`; who changes it renders the recipes again")


def beside(name: str, wanted: str) -> bytes:
    """Return a file that lies beside this one; refuse one that the recipe does not mean."""
    content = (HERE / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != wanted:
        refuse(f"{HERE / name} is not the file that the recipe means", "run `armtorch render`")
    return content


# ---- what becomes of the members ----------------------------------------------------------------


@dataclass
class Package:
    """The package as it comes to be: where files go, and the account of every one of them."""

    name: str
    prefix: Path
    site: Path
    #: package path -> wheel member, for files taken over byte for byte
    unchanged: dict[str, str] = field(default_factory=dict)
    patched: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: package path -> the patch that upstream has made needless, for files that stay upstream's
    unpatched: dict[str, dict[str, str]] = field(default_factory=dict)
    linked: dict[str, dict[str, str]] = field(default_factory=dict)
    #: package path -> how it is made and from what
    generated: dict[str, dict[str, str]] = field(default_factory=dict)
    #: path below info/ -> wheel member, or the text beside this file, that it is
    licenses: dict[str, dict[str, str]] = field(default_factory=dict)
    #: rows of the regenerated RECORD, site-packages relative path -> (hash, size)
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: folders that are there
    folders: set[Path] = field(default_factory=set)

    def locate(self, path: str) -> Path:
        """Return where a package path is in the prefix being filled."""
        if path == SITE or path.startswith(f"{SITE}/"):
            return self.site / path[len(SITE) + 1:]
        return self.prefix / path

    def make_folder(self, folder: Path) -> None:
        """Make a folder once: thousands of files share a few hundred of them."""
        if folder not in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
            self.folders.add(folder)

    def note(self, path: str, digest: str, size: str) -> None:
        """Remember a row for RECORD, if the path is inside site-packages."""
        if path.startswith(f"{SITE}/"):
            self.rows[path[len(SITE) + 1:]] = (f"sha256={digest}" if digest else "", size)

    def write(self, path: str, content: bytes, when: float) -> None:
        """Write a file of ours."""
        target = self.locate(path)
        self.make_folder(target.parent)
        with target.open("xb") as file:
            file.write(content)
        os.utime(target, (when, when))
        self.note(path, encode(hashlib.sha256(content).digest()), str(len(content)))

    def unpack(self, wheel: Wheel, member: str, path: str) -> None:
        """Stream a member to its place, with the wheel's time and executable bit."""
        target = self.locate(path)
        self.make_folder(target.parent)
        with target.open("xb") as file:
            for chunk in wheel.stream(member):
                file.write(chunk)
        info = wheel.members[member]
        target.chmod(0o755 if (info.external_attr >> 16) & 0o111 else 0o644)
        os.utime(target, (member_time(info), member_time(info)))
        self.unchanged[path] = member
        self.note(path, wheel.record[member][0], str(wheel.record[member][1]))

    def link(self, at: str, to: str, account: dict[str, str]) -> None:
        """Place a relative link; it dangles until the package it leads to is installed."""
        place = self.locate(at)
        self.make_folder(place.parent)
        place.symlink_to(os.path.relpath(self.locate(to), place.parent))
        self.linked[at] = {"to": to, **account}
        # no hash in RECORD: the bytes are another package's
        self.note(at, "", "")


def sort_members(wheel: Wheel, rules: list[dict[str, Any]]) -> Sorted:
    """Give every member to the first rule that matches it; a required rule must get one."""
    compiled = [[pattern(glob) for glob in rule["match"]] for rule in rules]
    taken: list[list[str]] = [[] for _ in rules]
    for member in sorted(wheel.members):
        if member.startswith(f"{wheel.dist_info}/") and member.rpartition("/")[2] in (
                *REWRITTEN, *INSTALLERS_OWN):
            continue
        for number, globs in enumerate(compiled):
            if any(glob.fullmatch(member) for glob in globs):
                taken[number].append(member)
                break
        else:
            refuse(f"{wheel.name}: no rule of layout.json says what to do with {member}",
                   "add a rule to generator/data/layout.yaml and render again")
    for rule, members in zip(rules, taken):  # noqa: B905 - equal by construction, python 3.9
        if rule.get("required") and not members:
            refuse(f"{wheel.name}: nothing matches {rule['match']}, which this package is made of",
                   "compare the wheel with generator/data/layout.yaml")
    return list(zip(rules, taken))  # noqa: B905


def carry_out(package: Package, wheel: Wheel, rule: dict[str, Any], members: list[str]) -> None:
    """Do what a rule says with the members it got."""
    action = rule["do"]
    if action == "unpack":
        for member in members:
            take_over(package, wheel, rule, member)
    elif action == "link":
        for member in members:
            link_member(package, member, destination(rule, member), rule["of"])
    elif action == "base":
        for member in members:
            link_to_base(package, rule, member)
    elif action == "leave" and (kind := rule.get("record")):
        for member in members:
            digest, size = wheel.record[member] if kind == "file" else ("", "")
            package.rows[member] = (f"sha256={digest}" if digest else "", str(size))


def destination(rule: dict[str, Any], member: str) -> str:
    """Return the package path of a member: below ``to``, without the folder ``from``."""
    inner = member[len(rule["from"]) + 1:] if rule.get("from") else member
    return f"{rule['to']}/{inner}"


def take_over(package: Package, wheel: Wheel, rule: dict[str, Any], member: str) -> None:
    """Unpack a member, mended where the rule says so, and link its old place to it if asked to."""
    path = destination(rule, member)
    if "patch" in rule:
        patch(package, wheel, member, path, rule["patch"])
    else:
        package.unpack(wheel, member, path)
    if rule.get("link_back"):
        link_member(package, member, path, package.name)


def link_member(package: Package, member: str, to: str, owner: str) -> None:
    """Link a member's place to where the same bytes are; the member's name is the link's."""
    package.link(f"{SITE}/{member}", to, {"of": owner})


def link_to_base(package: Package, rule: dict[str, Any], member: str) -> None:
    """Put links to a base package's library where a bundled copy was.

    One under the name it was bundled as, one under the name its siblings from the base channel ask
    for: ``$ORIGIN`` of a library that glibc opens through a link is the folder of the link.
    """
    folder, _, bundled_as = member.rpartition("/")
    place = rule.get("at") or f"{SITE}/{folder}"
    for name in (bundled_as, rule["to"].rpartition("/")[2]):
        at = f"{place}/{name}"
        if at not in package.linked and at != rule["to"]:
            package.link(at, rule["to"], {"of": rule["of"], "instead_of": member})


def patch(package: Package, wheel: Wheel, member: str, path: str, change: dict[str, Any]) -> None:
    """Mend a text member; the pattern must be found exactly once.

    Not in a version that nobody has read and in which the reason for the patch is gone.
    """
    before = wheel.text(member)
    found = list(re.finditer(change["pattern"], before))
    if not found and not change["read"] and not re.search(change["probe"], before):
        package.unpack(wheel, member, path)
        package.unpatched[path] = {key: change[key] for key in ("pattern", "probe", "why")}
        return
    if len(found) != 1:
        refuse(f"{wheel.name}: {member} has {len(found)} places that match {change['pattern']!r}, "
               f"not 1, and is patched because {change['why']}",
               "look at the member, then mend the patch in generator/data/layout.yaml")
    place = found[0]
    content = (before[:place.start()] + change["with"] + before[place.end():]).encode("utf-8")
    package.write(path, content, member_time(wheel.members[member]))
    # what stood where, so that upstream's bytes can be had back and compared with RECORD
    package.patched[path] = {
        "member": member, "at": len(before[:place.start()].encode("utf-8")),
        "before": place[0], "with": change["with"], "why": change["why"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }


# ---- what all Pythons share ---------------------------------------------------------------------


def check_sharing(wheel: Wheel, shared: dict[str, Any]) -> None:
    """Prove that this wheel's shared members are those libtorch is made of (decision D2)."""
    equivalent = {row["member"]: row for row in shared["equivalent"]}
    left_out = {*shared["per_python"], *equivalent}
    lines = [f"{member},{decode(digest)},{size}\n"
             for member, (digest, size) in sorted(wheel.record.items()) if member not in left_out]
    if hashlib.sha256("".join(lines).encode()).hexdigest() != shared["digest"]:
        refuse(f"{wheel.name}: what it should share with the other Pythons' wheels is not what "
               "the lock has seen", "run `armtorch update`, then `armtorch render`")
    for member, row in equivalent.items():
        found = hashlib.sha256(normalise(row["rule"], wheel.read(member))).hexdigest()
        if found != row["normalised_sha256"]:
            refuse(f"{wheel.name}: {member} differs from the reference by more than {row['rule']}",
                   "run `armtorch update`, which looks at what differs")


def check_shared_only(wheel: Wheel, shared: dict[str, Any] | None, members: list[str]) -> None:
    """Refuse a member that every Python is said to share, but that the lock saw differ."""
    if shared and (own := sorted(set(members) & set(shared["per_python"]))):
        refuse(f"{wheel.name}: {own[0]} differs between the Pythons, yet a rule shares it",
               "add a rule for it to generator/data/layout.yaml, before the one that shares it")


# ---- dist-info, licences, provenance ------------------------------------------------------------


def write_dist_info(package: Package, wheel: Wheel, rules: dict[str, Any], newest: float) -> None:
    """Make dist-info conda's: INSTALLER, METADATA, and a RECORD of what is there."""
    folder = f"{SITE}/{wheel.dist_info}"
    dropped = set(rules["drop_requirements"])
    kept, header = [], True
    for line in wheel.text(f"{wheel.dist_info}/METADATA").splitlines(keepends=True):
        header = header and line.strip() != ""
        name, _, value = line.partition(": ")
        if not (header and name == "Requires-Dist" and project_of(value) in dropped):
            kept.append(line)
    package.write(f"{folder}/METADATA", "".join(kept).encode("utf-8"), newest)
    package.generated[f"{folder}/METADATA"] = {"how": "without-requirements",
                                               "from": "info/armtorch/METADATA"}
    package.write(f"{folder}/INSTALLER", b"conda\n", newest)
    package.generated[f"{folder}/INSTALLER"] = {"how": "installer", "from": ""}
    for launcher in rules["commands"]:
        package.rows[launcher] = ("", "")
    package.rows[f"{wheel.dist_info}/RECORD"] = ("", "")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((path, *row) for path, row in sorted(package.rows.items()))
    package.write(f"{folder}/RECORD", text.getvalue().encode("utf-8"), newest)
    package.generated[f"{folder}/RECORD"] = {"how": "record", "from": "info/armtorch/RECORD"}


def project_of(requirement: str) -> str:
    """Return the normalised project name (PEP 503) that a PEP 508 requirement begins with."""
    name = re.match(r"[A-Za-z0-9._-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", name[0] if name else "").lower()


def copy_licenses(package: Package, wheel: Wheel, layout: dict[str, Any], work: Path) -> None:
    """Put the licence files where the recipe's ``license_file: licenses/`` looks for them.

    The wheel's own, and for bundled parts whose licence the wheel lacks, the text beside this file.
    """
    compiled = [pattern(glob) for glob in layout["licenses"]]
    for member in sorted(wheel.members):
        if any(glob.fullmatch(member) for glob in compiled):
            inner = member.split("/", 1)[1].removeprefix("licenses/")
            target = license_place(package, work, inner, {"member": member})
            target.write_bytes(wheel.read(member))
    for row in layout["bundled_licenses"]:
        globs = [pattern(glob) for glob in row["match"]]
        if any(glob.fullmatch(member) for member in wheel.members for glob in globs):
            for name, wanted in row["texts"].items():
                content = beside(f"licenses/{name}", wanted)
                origin = {"text": name, "part": row["part"]}
                license_place(package, work, f"bundled/{name}", origin).write_bytes(content)


def license_place(package: Package, work: Path, inner: str, origin: dict[str, str]) -> Path:
    """Note a licence text, and return where it is to be put for rattler-build to pack it."""
    package.licenses[f"info/licenses/licenses/{inner}"] = origin
    target = work / "licenses" / inner
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def find_commit(wheel: Wheel, rule: dict[str, str] | None) -> str:
    """Return the commit of upstream's repository that the wheel says it was built from, or ""."""
    if rule is None or rule["member"] not in wheel.members:
        return ""
    found = re.search(rule["pattern"], wheel.text(rule["member"]), re.MULTILINE)
    return found[1] if found else ""


def write_provenance(package: Package, wheel: Wheel, told: dict[str, Any],
                     sorted_members: Sorted, newest: float) -> None:
    """Write what every file is and where it comes from to info/armtorch (decision D9)."""
    def amount(rule: dict[str, Any], members: list[str]) -> dict[str, Any]:
        size = sum(wheel.members[member].file_size for member in members)
        return {"match": rule["match"], "why": rule.get("why", ""), "members": len(members),
                "bytes": size}

    # upstream's own, so that RECORD's digest alone proves what is said here
    evidence = {"record": f"{wheel.dist_info}/RECORD", "metadata": f"{wheel.dist_info}/METADATA"}
    commit, stated = find_commit(wheel, told["commit"]), told["commit"]
    if stated is not None and stated["member"] in wheel.members:
        evidence["commit"] = stated["member"]
    account = {
        "schema": 2,
        "package": package.name,
        "unpacker": told["unpacker"],
        "source": {"purl": told["purl"], "sha256": told["sha256"], "size": told["size"],
                   "hash_origin": told["hash_origin"],
                   "record_sha256": hashlib.sha256(wheel.record_bytes).hexdigest(),
                   "commit": commit},
        "evidence": {f"info/armtorch/{member.rpartition('/')[2]}": member
                     for member in evidence.values()},
        "unchanged": package.unchanged, "patched": package.patched,
        "unpatched": package.unpatched, "linked": package.linked,
        "generated": package.generated, "licenses": package.licenses,
        "shared": told.get("shared"),
        "dropped": [amount(rule, members) for rule, members in sorted_members
                    if rule["do"] == "drop" and members],
        "elsewhere": [{"package": rule["of"], **amount(rule, members)}
                      for rule, members in sorted_members if rule["do"] == "leave" and members],
        "replaced": [{"package": rule["of"], **amount(rule, members)}
                     for rule, members in sorted_members if rule["do"] == "base" and members],
    }
    text = json.dumps(account, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    package.write("info/armtorch/manifest.json", text.encode("utf-8"), newest)
    for member in evidence.values():
        content = wheel.record_bytes if member.endswith("/RECORD") else wheel.read(member)
        package.write(f"info/armtorch/{member.rpartition('/')[2]}", content, newest)


def site_packages(prefix: Path, target: str, python: str) -> Path:
    """Return a folder that rattler-build moves to ``site-packages/`` (CEP 20 mode)."""
    if target.startswith("win-"):
        return prefix / "Lib" / SITE
    return prefix / "lib" / f"python{python or '3'}" / SITE


def find_wheel(work: Path, layout: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Return the one wheel in SRC_DIR and all that layout.json says of it, found by its sha256.

    Never by its name: upstream has given one name to several wheels.
    """
    found = sorted(work.glob("*.whl"))
    if len(found) != 1:
        refuse(f"{work} holds {len(found)} wheels, not one",
               "render the recipes again; a source row of recipe.yaml is missing or double")
    digest = hashlib.sha256()
    with found[0].open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    sha256 = digest.hexdigest()
    if (source := layout["wheels"].get(sha256)) is None:
        refuse(f"{found[0].name} has sha256 {sha256}, which layout.json does not know",
               "fetch the wheel again, or run `armtorch update` and `armtorch render`")
    name = source["cell"]
    rows = {key: [row for row in layout[key] if name in row.get("cells", [name])]
            for key in ("rules", "links")}
    return found[0], {"unpacker": layout["unpacker"], "commit": layout.get("commit"), **rows,
                      **layout["cells"][name], **source, "sha256": sha256}


def build(environment: dict[str, str]) -> str:
    """Build one package from the one wheel in SRC_DIR; return a line about it."""
    work, prefix = Path(environment["SRC_DIR"]), Path(environment["PREFIX"])
    layout = json.loads((Path(environment["RECIPE_DIR"]) / "layout.json").read_text("utf-8"))
    check_unpacker(layout["unpacker"])
    path, told = find_wheel(work, layout)
    wheel = Wheel(path, layout["maximum_unpacked_ratio"])
    check_names(wheel, environment["target_platform"])
    if told.get("shared"):
        check_sharing(wheel, told["shared"])
    site = site_packages(prefix, environment["target_platform"], environment.get("PY_VER", ""))
    package = Package(layout["package"], prefix, site)
    newest = max(member_time(info) for info in wheel.members.values())
    sorted_members = sort_members(wheel, told["rules"])
    for rule, members in sorted_members:
        if rule.get("shared"):
            check_shared_only(wheel, told.get("shared"), members)
        carry_out(package, wheel, rule, members)
    for row in told["links"]:
        package.link(row["at"], row["to"], {"of": row["of"], "why": row["why"]})
    if told.get("dist_info"):
        write_dist_info(package, wheel, told["dist_info"], newest)
    for path, row in layout["test_files"].items():  # which rattler-build takes from here
        content = beside(row["from"], row["sha256"])
        (work / path.rpartition("/")[2]).write_bytes(content)
        package.generated[path] = {"how": "test-file", "from": row["from"]}
    copy_licenses(package, wheel, layout, work)
    write_provenance(package, wheel, told, sorted_members, newest)
    return (f"{layout['package']}: {len(package.unchanged)} files unchanged, "
            f"{len(package.patched)} patched, {len(package.unpatched)} patches that upstream made "
            f"needless, {len(package.linked)} links, "
            f"{len(package.generated)} generated")


def main() -> int:
    """Run as rattler-build's build script; exit 1 with a reason when the wheel is refused."""
    # the prefix has a name of 255 characters, and every path the kernel is given costs by its
    # length: ten thousand links take a third of the time from inside
    prefix = Path(os.environ["PREFIX"])
    prefix.mkdir(parents=True, exist_ok=True)
    os.chdir(prefix)
    try:
        print(build({**os.environ, "PREFIX": "."}))
    except RefusedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
