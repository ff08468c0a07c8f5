"""What pip is asked for, judged by the wheels there are; and the environment file that works."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from generator.datafiles import load_data, subdirs
from generator.errors import AbsentError, ArmtorchError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_pip import UPSTREAM, PipRequest, is_requirement
from generator.explaining.records import minor_of
from generator.model import PythonBuild
from generator.packages import is_companion
from generator.upstream import Offer

#: what an index has of a project; raises ArmtorchError, AbsentError where it has no wheel
Ask = Callable[[str, str], Sequence[Offer]]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found of one requirement of pip."""

    requirement: str
    #: ``unseen``: nobody looked, or nobody could
    state: Literal["works", "fails", "unseen"]
    detail: str


class Snapshot(BaseModel):
    """All of snapshot.yaml: what was seen on one day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: str
    #: what cannot change any more of a channel
    channels: dict[str, str]
    #: project, release, subdir: the Pythons with a wheel, or ``any``
    wheels: dict[str, dict[str, dict[str, str]]]


@cache
def snapshot() -> Snapshot:
    """Return snapshot.yaml; raises DataError."""
    return load_data("snapshot.yaml", Snapshot)


def judge(request: PipRequest, *, subdir: str, python: str, ask: Ask | None) -> tuple[Judged, ...]:
    """Judge each requirement by the wheels of the indexes that pip would ask.

    Args:
        request: what pip is asked for; what its packages depend on is not looked at.
        subdir: where it is installed.
        python: the Python of the environment, "" for one that is not known.
        ask: returns the wheels of a project on an index, "" for pip's own; None asks nobody.

    """
    found = [_judged(text, request, subdir, python, ask) for text in request.requirements]
    unread = [_unread(name, subdir, python) for name in request.unread]
    return (*_together([each for each in found if each is not None]), *unread)


def _together(found: Sequence[Judged]) -> Iterator[Judged]:
    """Yield them, a companion of another torch than the one beside it as what fails."""
    wanted = [Requirement(each.requirement) for each in found]
    pin = next((_pin(str(each)) for each in wanted if each.name == "torch"), None)
    for each, asked in zip(found, wanted, strict=True):
        row = torch_of(asked) if pin and each.state != "fails" else None
        if pin is None or row is None or row.contains(pin):
            yield each
        else:
            release = str(row).removeprefix("==").removesuffix(".*")
            detail = f"it is for torch {release}, and not for {pin}"
            yield replace(each, state="fails", detail=detail)


def on_musl(wheel: Judged) -> Judged:
    """Return what is to be said of a wheel where the C library is musl (PEP 656)."""
    if wheel.state != "works":
        return wheel
    here = "the C library here is musl (Alpine)"
    if not conda_names([wheel.requirement]):
        return replace(wheel, state="unseen", detail=f"{here}, and nobody looked for its wheels")
    return replace(wheel, state="fails", detail=f"{here}, which torch has no wheel for")


def plainly(request: PipRequest, subdir: str = "", python: str = "") -> PipRequest:
    """Ask for the same releases without another machine's labels, on pip's own index.

    Builds with a label that upstream has for the machine are on an index of that name. Where there
    is none, the nearest release that a message says there is, or the snapshot.
    """
    if subdir:
        here = [each for each in request.requirements if applies(each, subdir, python)]
        plain = tuple(each.split(";")[0].strip() for each in here)
        # torch asks itself for what of CUDA it needs on a machine
        plain = tuple(each for each in plain if not of_cuda(each)) or plain
        missed = tuple((old.split(";")[0].strip(), there) for old, there in request.missed)
        request = replace(request, requirements=plain, missed=missed)
    told = dict(request.missed)
    labels = {_label(Requirement(text)) for text in request.requirements} - {"", "cpu"}
    # a message that names no releases, or some with a label, is of an index that has such
    looked = any(there is None or "+" in "".join(there) for there in told.values())
    known = {*facts().wheel_labels.get(subdir, ())}
    if len(labels) == 1 and labels <= known and not request.index and not looked:
        index = f"{UPSTREAM}{labels.pop()}"
        # it has nothing but what belongs to torch
        if all(_label(Requirement(text)) for text in request.requirements):
            return replace(request, index=index, missed=())
        return replace(request, extra=(*request.extra, index), missed=())
    x86 = re.compile(r"(?:-f|--find-links) .*/cu\d|.*(?:x86_64|amd64)\.whl")
    left = tuple(e for e in request.unread if not x86.match(e) and not _unreadable(e))
    moved = (_of_address(each) for each in request.unread if each not in left)
    asked = [*request.requirements, *(text for text in moved if text)]
    texts = [re.sub(r"(?<=\d)\+[\w.]+", "", _called(text)) for text in asked]
    pairs = zip(asked, texts, strict=True)
    there = [_nearest(new, told.get(old) or _had(new, subdir, python)) for old, new in pairs]
    there = _paired(there, texts, subdir, python)
    own = [text for text in there if Requirement(text).name.lower() in facts().torch_projects]
    # an index of the machine's own is asked but for what it is said to have none of
    known = known if () not in told.values() else set()
    there_is = {
        url for url in (request.index, *request.extra) if _label_of_index(url) in {"", *known}
    }
    index = request.index if request.index in there_is else ""
    others = not index and bool(own) and _elsewhere(subdir)
    there = [_freed(text) if others and text in own else text for text in there]
    return replace(
        request,
        requirements=tuple(there),
        # it has nothing but what belongs to torch
        index=f"{UPSTREAM}cpu" if others and len(own) == len(there) else index,
        extra=(
            *(url for url in request.extra if url in there_is),
            *([f"{UPSTREAM}cpu"] if others and len(own) < len(there) else []),
        ),
        unread=left,
        missed=() if others else tuple((text, ()) for text in texts if told.get(text) == ()),
    )


def torch_of(wanted: Requirement) -> SpecifierSet | None:
    """Return which torch the pinned release of a companion is for; None where no row tells."""
    pin, rows = _pin(str(wanted)), facts().torch_of.get(canonicalize_name(wanted.name), {})
    known = [Version(since) for since in rows if pin is not None and Version(since) <= pin]
    if pin is None or not known or max(known).major != pin.major:
        return None
    row = rows[str(max(known))]
    if row.startswith(">="):
        return SpecifierSet(row)
    torch = Version(row)
    return SpecifierSet(f"=={torch.major}.{torch.minor + pin.minor - max(known).minor}.*")


def _paired(there: Sequence[str], texts: Sequence[str], subdir: str, python: str) -> list[str]:
    """Ask for companions that go with torch, where one of ``texts`` moved, or is for another.

    A torch that stays where it was pinned decides; pip finds what goes with one that moved.
    """
    own = [text for text in there if Requirement(text).name.lower() in facts().torch_projects]
    torch = [text for text in own if Requirement(text).name == "torch"]
    moved_on = [text for text in own if text not in texts]
    pins = [pin for text in torch if text in texts and (pin := _pin(text))]
    given = {text: _partner(text, pins[0], subdir, python) for text in own if pins}
    if not all(given.values()) or (moved_on and not given):
        kept = [text for text in torch if text in moved_on] or moved_on[:1]
        given = {text: _freed(text) for text in own if text not in kept}
    return [given.get(text, text) for text in there]


def _partner(text: str, torch: Version, subdir: str, python: str) -> str:
    """Return a companion as the release that goes with a torch; "" where none is known to."""
    wanted = Requirement(text)
    had = sorted({Version(each).release[:2] for each in _had(wanted.name, subdir, python)})
    # which patch release goes with torch's pip finds itself
    minors = [f"{wanted.name}=={major}.{minor}.*" for major, minor in reversed(had)]
    for each in (text, *minors):
        row = torch_of(Requirement(each))
        if row is None or row.contains(torch):
            return each
    return ""


def _pin(text: str) -> Version | None:
    pins = [p.version for p in specifiers(Requirement(text)) if p.operator == "=="]
    return Version(pins[0].removesuffix(".*")) if pins else None


def without_gpu(request: PipRequest, instead: PipRequest, subdir: str, python: str) -> str:
    """Say, to who asked for CUDA, that the other request brings a torch without it."""
    if not asks_for_cuda(request) or asks_for_cuda(instead):
        return ""
    if subdir.startswith("osx"):
        return "without CUDA, with Apple's GPU (mps)"
    since = Version(facts().pip_cuda_since.get(subdir, "0"))
    asked = list(map(Requirement, instead.requirements))
    wanted = [r.specifier if r.name == "torch" else torch_of(r) for r in asked]
    there = map(Version, _had("torch", subdir, python))
    taken = [each for each in there if all(row is None or row.contains(each) for row in wanted)]
    old = taken and max(taken) < since
    cpu = any(url.endswith("/cpu") for url in (instead.index, *instead.extra))
    return "on the CPU, with no GPU" if old or cpu else ""


def of_cuda(requirement: str) -> bool:
    """Whether it is of the packages that wheels of torch for CUDA depend on."""
    return pattern("of_cuda").fullmatch(project_of(requirement)) is not None


def asks_for_cuda(request: PipRequest) -> bool:
    """Whether a label, or an index, says that torch is to be for CUDA."""
    labels = [_label(Requirement(text)) for text in request.requirements]
    labels += [_label_of_index(url) for url in (request.index, *request.extra)]
    return any(label.startswith("cu") for label in labels)


def applies(text: str, subdir: str, python: str) -> bool:
    """Whether a requirement's marker holds on a machine (PEP 508)."""
    marker = Requirement(text).marker
    return marker is None or marker.evaluate(markers_of(subdir, python))


def _elsewhere(subdir: str) -> bool:
    """Whether upstream's CPU index has torch for a subdir, and PyPI has no release of it."""
    releases = snapshot().wheels["torch"].values()
    labelled = "cpu" in facts().wheel_labels.get(subdir, ())
    return labelled and not any(subdir in each for each in releases)


def _called(text: str) -> str:
    name = Requirement(text).name
    return text.replace(name, facts().pip_names.get(canonicalize_name(name), name), 1)


def _freed(text: str) -> str:
    """Leave a companion to pip; of torch itself an older release is not wanted."""
    name, pin = Requirement(text).name, _pin(text)
    if name != "torch":
        return name
    return f"torch>={pin}" if pin else text


def pythons_with(request: PipRequest, subdir: str) -> str:
    """Return the Pythons that all pinned wheels are there for, as far as the snapshot tells."""
    left: set[str] | None = None
    for text in request.requirements:
        wanted = Requirement(text)
        releases = snapshot().wheels.get(canonicalize_name(wanted.name), {})
        pins = [releases[part.version] for part in specifiers(wanted) if part.version in releases]
        there = set(pins[0].get(subdir, "any").split()) if pins else {"any"}
        if there != {"any"}:
            left = there if left is None else left & there
    return " or ".join(sorted(left or (), key=lambda each: (minor_of(each), each)))


def _had(text: str, subdir: str, python: str) -> list[str]:
    """Return the releases that the snapshot has wheels of."""
    releases = snapshot().wheels.get(canonicalize_name(Requirement(text).name), {})
    return [each for each, row in releases.items() if _has(row.get(subdir, ""), python)]


def _nearest(text: str, there: Sequence[str] | None) -> str:
    known = [Version(each) for each in there or ()]
    wanted = Requirement(text)
    if not known or any(wanted.specifier.contains(each) for each in known):
        return text
    named = [Version(part.version.rstrip(".*")) for part in specifiers(wanted)]
    later = [each for each in known if named and each >= max(named)]
    nearest = min(later, default=max(known))
    return f"{wanted.name}=={nearest}"


def _judged(
    text: str, request: PipRequest, subdir: str, python: str, ask: Ask | None
) -> Judged | None:
    if not applies(text, subdir, python):
        return None  # not for this platform
    wanted = Requirement(text)
    project = canonicalize_name(wanted.name)

    missed = dict(request.missed)

    def wheel(state: Literal["works", "fails", "unseen"], detail: str) -> Judged:
        if state != "fails" and text in missed:
            state, detail = "fails", f"the message says there is {_said(missed[text])}"
        return Judged(requirement=text, state=state, detail=detail)

    # uv takes a package from the first index that has it (uv docs, "Searching across indexes")
    first = [*request.extra[:1], request.index] if request.tool.startswith("uv") else []
    label = _label(wanted) or next(filter(None, map(_label_of_index, [*first, request.index])), "")
    torch = project in facts().torch_projects
    own = all(url.startswith(UPSTREAM) for url in (request.index, *request.extra) if url)
    if why := _never(text, subdir, label if torch else "", own=own):
        return wheel("fails", why)
    offers, silent = _asked(project, request, ask)
    fitting = [each for each in offers if _fits(each, wanted, subdir, python)]
    if fitting:
        newest = max(each.version for each in fitting)
        return wheel("works", f"{project} {newest} has a wheel for {subdir}")
    for_python = f" and Python {python}" if python else ""
    if not silent and offers:
        there_are = _versions(e.version for e in offers if _fits(e, None, subdir, python))
        return wheel("fails", f"no wheel of {text} for {subdir}{for_python}; there is {there_are}")
    # the index of CPU builds has the releases of PyPI; that it has one, nobody saw
    cpu = torch and request.index.endswith("/whl/cpu")
    seen = None if request.index and not cpu else _seen(project, wanted, subdir, python)
    seen = None if cpu and seen is not None and seen[0] else seen
    # it tells of PyPI: what other indexes and pages have may be enough
    elsewhere = request.extra or any("-f" in each[:3] for each in request.unread)
    if seen is not None and (seen[0] or not elsewhere):
        return wheel("works" if seen[0] else "fails", seen[1])
    return wheel("unseen", silent or "it has no wheel, and pip would build it from source")


def _never(text: str, subdir: str, label: str, *, own: bool) -> str:
    """Say why no index has it, whatever the release; "" where one may."""
    project = canonicalize_name(Requirement(text).name)
    if called := facts().pip_names.get(project):
        return f"PyPI calls it {called}"
    if subdir.startswith("osx") and of_cuda(text):
        return f"{project} is for NVIDIA's GPUs: no wheel of it is for {subdir}"
    x86 = own and not any(label in labels for labels in facts().wheel_labels.values())
    for_whom = "for x86 alone" if x86 else "for other platforms"
    why = f"wheels of {project} with {label} are {for_whom}: none is for {subdir}"
    return why if label and label not in facts().wheel_labels.get(subdir, (label,)) else ""


def _unread(text: str, subdir: str, python: str) -> Judged:
    """Judge what nobody opens: a wheel's address names its platform (PEP 427)."""
    if _unreadable(text):
        return Judged(requirement=text, state="fails", detail="that is no version to pip")
    wheel = pattern("wheel").search(text)
    row = subdirs().get(subdir)
    patterns = list(row.wheel_platforms) if row else facts().wheel_platforms.get(subdir, ())
    tags = wheel["tags"].split(".") if wheel else ["any"]
    minor = re.fullmatch(r"cp3(\d+)", wheel["python"]) if wheel and wheel["abi"] != "abi3" else None
    if tags != ["any"] and not any(re.fullmatch(p, tag) for p in patterns for tag in tags):
        detail = f"the wheel is for {', '.join(tags)}, not for {subdir}"
    elif minor and python and int(minor[1]) != minor_of(python):
        detail = f"the wheel is for Python 3.{minor[1]}, not for {python}"
    else:
        return Judged(requirement=text, state="unseen", detail="a file or an address")
    return Judged(requirement=text, state="fails", detail=detail)


def _of_address(text: str) -> str:
    """Return the requirement that an address, or what is no version, stands for; "" for none."""
    wheel = pattern("wheel").search(text)
    name = _unreadable(text)
    return f"{wheel['name'].replace('_', '-')}=={wheel['version']}" if wheel else name


def _unreadable(text: str) -> str:
    """Return the project of what is no address, and no version that pip reads (PEP 440)."""
    found = re.match(r"([A-Za-z][\w.-]*) ?[=<>!~]=?[^/]+$", text)
    return found[1] if found and not is_requirement(text) else ""


def _said(versions: Sequence[str] | None) -> str:
    return "none that fits" if versions is None else ", ".join(versions) or "none"


def _asked(project: str, request: PipRequest, ask: Ask | None) -> tuple[list[Offer], str]:
    """Return the wheels of all indexes, and why one of them told nothing."""
    offers: list[Offer] = []
    if ask is None:
        return offers, "no index was asked"
    silent = ""
    for index in (request.index, *request.extra):
        try:
            offers += ask(index, project)
        except AbsentError:
            continue
        except ArmtorchError:
            silent = "the index did not answer"
    return offers, silent


def _fits(offer: Offer, wanted: Requirement | None, subdir: str, python: str) -> bool:
    row = subdirs().get(subdir)
    patterns = row.wheel_platforms if row else facts().wheel_platforms.get(subdir, ())
    if not offer.is_for(patterns) or offer.yanked is not None:
        return False
    if python and not offer.serves(PythonBuild.parse(python)):
        return False
    named = any(Version(part.version.rstrip(".*")).is_prerelease for part in specifiers(wanted))
    if offer.version.is_prerelease and not named:
        return False
    return wanted is None or wanted.specifier.contains(offer.version, prereleases=True)


def _seen(project: str, wanted: Requirement, subdir: str, python: str) -> tuple[bool, str] | None:
    """Judge by the snapshot; None where it does not tell."""
    releases = snapshot().wheels.get(project)
    if releases is None or subdir not in subdirs():
        return None
    dated = f"(seen on {snapshot().day})"
    versions = [Version(text) for text in releases]
    fitting = [
        version
        for version in versions
        if wanted.specifier.contains(version)
        and _has(releases[str(version)].get(subdir, ""), python)
    ]
    for_python = f" and Python {python}" if python else ""
    if fitting:
        pythons = releases[str(max(fitting))][subdir].split()
        if not python and pythons != ["any"]:  # nobody told which one is in the environment
            for_python = f" and Python {' or '.join(pythons)}"
        return True, f"{project} {max(fitting)} has a wheel for {subdir}{for_python} {dated}"
    newest = max(versions)
    if label := _label(wanted):
        return False, f"PyPI has no wheel with {label}"
    if wanted.specifier.contains(Version(f"{newest.major}.{newest.minor + 50}")):
        return None  # a newer release may have one
    able = (v for v in versions if _has(releases[str(v)].get(subdir, ""), python))
    there = _versions(able)
    return False, f"no wheel of {wanted} for {subdir}{for_python}; there is {there} {dated}"


def specifiers(wanted: Requirement | None) -> list[Specifier]:
    """Return the parts of a requirement's version specifier that name a version (PEP 440)."""
    return [part for part in wanted.specifier if part.operator != "==="] if wanted else []


def _has(pythons: str, python: str) -> bool:
    return bool(pythons) and (not python or pythons == "any" or python in pythons.split())


def _versions(versions: Iterable[Version]) -> str:
    found = sorted(set(versions), reverse=True)
    return ", ".join(map(str, found[:5])) + (" ..." if found[5:] else "") if found else "none"


def _label(wanted: Requirement) -> str:
    for part in wanted.specifier:
        _, plus, local = part.version.partition("+")
        if plus and pattern("accelerator").match(local):
            return local
    return ""


def _label_of_index(url: str) -> str:
    # people write the project behind it, too
    parts = (part for part in url.split("/") if pattern("accelerator").match(part))
    return next((part for part in parts if part != "cpu"), "")


def markers_of(subdir: str, python: str) -> Mapping[str, str]:
    """Return what markers ask of a machine (PEP 508), of a common Python where none is known."""
    row = subdirs().get(subdir)
    known = dict(row.markers) if row else dict(facts().markers.get(subdir, {}))
    return known | PythonBuild(3, minor_of(python) or 12).markers


def project_of(text: str) -> str:
    """Return PyPI's name of what a requirement, or a wheel's address, asks for."""
    return canonicalize_name(_asked_of(text).name)


def _asked_of(text: str) -> Requirement:
    return Requirement(_called(_of_address(text) or text))


def conda_names(requirements: Sequence[str]) -> tuple[str, ...]:
    """Return what channels call requirements of torch's own projects, with their releases."""
    asked = [_asked_of(text) for text in requirements]
    own = [each for each in asked if each.name == "torch" or is_companion(each.name.lower())]
    names = [facts().renames.get(each.name.lower(), each.name.lower()) for each in own]
    plain = [re.sub(r"\+[\w.]+", "", str(each.specifier)) for each in own]
    return tuple(dict.fromkeys(map(str.__add__, names, plain)))
