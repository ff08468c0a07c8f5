"""What pip is asked for, judged by the wheels there are, and the same without other machines'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from generator.errors import AbsentError, ArmtorchError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_pip import UPSTREAM, PipRequest
from generator.explaining.records import minor_of
from generator.explaining.requirements import (
    Place,
    asks_for_cuda,
    called,
    elsewhere,
    had,
    label_of,
    label_of_index,
    of_address,
    of_cuda,
    own,
    pin_of,
    seen,
    specifiers,
    torch_of,
    unreadable,
    variable_in,
    versions_in_words,
)
from generator.model import PythonBuild
from generator.upstream import Offer

#: what an index has of a project; raises ArmtorchError, AbsentError where it has no wheel
Ask = Callable[[str, str], Sequence[Offer]]
State = Literal["works", "fails", "unseen"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found of one requirement of pip."""

    requirement: str
    #: ``unseen``: nobody looked, or nobody could
    state: State
    detail: str


def judge(request: PipRequest, place: Place, ask: Ask | None) -> tuple[Judged, ...]:
    """Judge each requirement by the wheels of the indexes that pip would ask; None asks nobody.

    What the packages depend on is not looked at.
    """
    here = [each for each in request.requirements if place.takes(each)]
    found = [_judged(text, request, place, ask) for text in here]
    return (*_together(found), *(_unread(name, place) for name in request.unread))


def _together(found: Sequence[Judged]) -> Iterator[Judged]:
    """Yield them, a companion of another torch than the one beside it as what fails."""
    wanted = [Requirement(each.requirement) for each in found]
    pin = next((pin_of(str(each)) for each in wanted if each.name == "torch"), None)
    for each, asked in zip(found, wanted, strict=True):
        row = torch_of(asked) if pin and each.state != "fails" else None
        if pin is None or row is None or row.contains(pin):
            yield each
        else:
            release = str(row).removeprefix("==").removesuffix(".*")
            detail = f"it is for torch {release}, and not for {pin}"
            yield replace(each, state="fails", detail=detail)


def _judged(text: str, request: PipRequest, place: Place, ask: Ask | None) -> Judged:
    missed = dict(request.missed)
    state, detail = next(_verdicts(text, request, place, ask))
    if state != "fails" and text in missed:
        there = missed[text]
        said = "none that fits" if there is None else ", ".join(there) or "none"
        state, detail = "fails", f"the message says there is {said}"
    return Judged(requirement=text, state=state, detail=detail)


def _verdicts(
    text: str, request: PipRequest, place: Place, ask: Ask | None
) -> Iterator[tuple[State, str]]:
    """Yield what is to be said of a requirement; the first counts."""
    wanted = Requirement(text)
    project = canonicalize_name(wanted.name)
    torch = project in facts().torch_projects
    if why := _never(text, request, place):
        yield "fails", why
    if place.musl:
        here = "the C library here is musl (Alpine)"
        yield (
            ("fails", f"{here}, which torch has no wheel for")
            if torch
            else ("unseen", f"{here}, and nobody looked for its wheels")
        )
    if request.builds(project) and torch:
        yield (
            "fails",
            f"--no-binary takes no wheel, and no source of {project} that can be built is on PyPI",
        )
    if request.builds(project):
        yield "unseen", "--no-binary has it built from source"
    offers, silent = _asked(project, request, ask)
    fitting = [each for each in offers if _fits(each, wanted, place)]
    if fitting and request.hashes and not any(each.sha256 in request.hashes for each in fitting):
        yield "fails", f"no wheel of it for {place.subdir} has one of the hashes"
    if fitting:
        newest = max((not each.version.is_prerelease, each.version) for each in fitting)[1]
        yield "works", f"{project} {newest} has a wheel for {place.subdir}"
    if not silent and offers:
        able = (each.version for each in offers if _fits(each, Requirement(project), place))
        for_python = f" and Python {place.python}" if place.python else ""
        lacks = f"no wheel of {text} for {place.subdir}{for_python}"
        yield "fails", f"{lacks}; there is {versions_in_words(able)}"
    # the index of CPU builds has the releases of PyPI; that it has one, nobody saw
    cpu = torch and request.index.endswith("/whl/cpu") and not elsewhere(place)
    there_is, said = seen(wanted, place) if cpu or not request.index else (None, "")
    if there_is is False and not request.elsewhere:
        yield "fails", said
    if there_is and not cpu:
        yield (
            ("unseen", f"{said}, with which hash is not known")
            if request.hashes
            else ("works", said)
        )
    if not silent and ":all:" in request.wheels_only:
        yield "fails", "it has no wheel, and --only-binary takes nothing else"
    also = f"; {said}" if said and there_is is None else ""
    yield "unseen", f"{silent}{also}" if silent else "it has no wheel, and pip would build it"


def _never(text: str, request: PipRequest, place: Place) -> str:
    """Say why no index has it, whatever the release; "" where one may."""
    project, subdir = canonicalize_name(Requirement(text).name), place.subdir
    if called := facts().pip_names.get(project):
        return f"PyPI calls it {called}"
    if subdir.startswith("osx") and of_cuda(text):
        return f"{project} is for NVIDIA's GPUs: no wheel of it is for {subdir}"
    if project not in facts().torch_projects:
        return ""
    # uv takes a package from the first index that has it (uv docs, "Searching across indexes")
    first = [*request.extra[:1], request.index] if request.by_first_index else [request.index]
    of_index = next(filter(None, (label_of_index(url, subdir) for url in first)), "")
    label = label_of(text) or of_index
    if not label or label in facts().wheel_labels.get(subdir, (label,)):
        return ""
    there = facts().unlabelled.get(of_index, ()) if project == "torch" else ()
    if subdir == "linux-aarch64" and any(map(Requirement(text).specifier.contains, there)):
        return ""
    upstream = all(url.startswith(UPSTREAM) for url in (request.index, *request.extra) if url)
    x86 = upstream and not any(label in labels for labels in facts().wheel_labels.values())
    for_whom = "for x86 alone" if x86 else "for other platforms"
    return f"wheels of {project} with {label} are {for_whom}: none for {subdir} is known here"


def _unread(text: str, place: Place) -> Judged:
    """Judge what nobody opens: a wheel's address names its platform (PEP 427)."""
    if unreadable(text) and variable_in(text):
        return Judged(requirement=text, state="unseen", detail="a variable that nothing here sets")
    if unreadable(text):
        return Judged(requirement=text, state="fails", detail="that is no version to pip")
    wheel = pattern("wheel").search(text)
    tags = wheel["tags"].split(".") if wheel else ["any"]
    minor = re.fullmatch(r"cp3(\d+)", wheel["python"]) if wheel and wheel["abi"] != "abi3" else None
    if tags != ["any"] and not any(re.fullmatch(p, tag) for p in place.wheels for tag in tags):
        detail = f"the wheel is for {', '.join(tags)}, not for {place.subdir}"
    elif minor and place.python and int(minor[1]) != minor_of(place.python):
        detail = f"the wheel is for Python 3.{minor[1]}, not for {place.python}"
    else:
        return Judged(requirement=text, state="unseen", detail="a file or an address")
    return Judged(requirement=text, state="fails", detail=detail)


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


def _fits(offer: Offer, wanted: Requirement, place: Place) -> bool:
    if not offer.is_for(place.wheels) or offer.yanked is not None:
        return False
    if place.python and not offer.serves(PythonBuild.parse(place.python)):
        return False
    # where nothing else fits, pip takes a release before its time, too (PEP 440)
    return wanted.specifier.contains(offer.version, prereleases=True)


def plainly(request: PipRequest, place: Place) -> PipRequest:
    """Ask for the same releases without another machine's labels, on pip's own index.

    Builds with a label that upstream has for the machine are on an index of that name. Where there
    is none, the nearest release that a message says there is, or the snapshot.
    """
    request = _of_here(request, place)
    told = dict(request.missed)
    labels = {*map(label_of, request.requirements)} - {"", "cpu"}
    # a message that names no releases, or some with a label, is of an index that has such
    looked = any(there is None or "+" in "".join(there) for there in told.values())
    known = {*place.labels}
    if len(labels) == 1 and labels <= known and not request.index and not looked:
        index = f"{UPSTREAM}{labels.pop()}"
        # it has nothing but what belongs to torch
        if all(map(label_of, request.requirements)):
            return replace(request, index=index, missed=())
        return replace(request, extra=(*request.extra, index), missed=())
    x86 = re.compile(r"(?:-f|--find-links) .*/cu\d|.*(?:x86_64|amd64)\.whl")
    left = tuple(e for e in request.unread if not x86.match(e) and not unreadable(e))
    moved = (of_address(each) for each in request.unread if each not in left)
    asked = [*request.requirements, *(text for text in moved if text)]
    texts = [re.sub(r"(?<=\d)\+[\w.]+", "", called(text)) for text in asked]
    pairs = zip(asked, texts, strict=True)
    there = [
        _nearest(new, told.get(old) or had(Requirement(new).name, place)) for old, new in pairs
    ]
    there = _paired(there, texts, place)
    ours = own(there)
    # an index of the machine's own is asked but for what it is said to have none of
    known = known if () not in told.values() else set()
    there_is = {
        url
        for url in (request.index, *request.extra)
        if label_of_index(url, place.subdir) in {"", *known}
    }
    index = request.index if request.index in there_is else ""
    others = not index and bool(ours) and elsewhere(place)
    there = [_freed(text) if others and text in ours else text for text in there]
    return replace(
        request,
        requirements=tuple(dict.fromkeys(there)),
        # it has nothing but what belongs to torch
        index=f"{UPSTREAM}cpu" if others and len(ours) == len(there) else index,
        extra=(
            *(url for url in request.extra if url in there_is),
            *([f"{UPSTREAM}cpu"] if others and len(ours) < len(there) else []),
        ),
        unread=left,
        # upstream's projects are there as wheels alone
        from_source=tuple(n for n in request.from_source if n != ":all:" and not own([n])),
        # what one index has none of another may have
        missed=()
        if others or index != request.index
        else tuple((text, ()) for text in texts if told.get(text) == ()),
    )


def without_gpu(request: PipRequest, instead: PipRequest, place: Place) -> str:
    """Say, to who asked for CUDA, that the other request brings a torch without it."""
    if not asks_for_cuda(request) or asks_for_cuda(instead):
        return ""
    if place.subdir.startswith("osx"):
        return "without CUDA, with Apple's GPU (mps)"
    since = Version(facts().pip_cuda_since.get(place.subdir, "0"))
    asked = list(map(Requirement, instead.requirements))
    wanted = [r.specifier if r.name == "torch" else torch_of(r) for r in asked]
    there = map(Version, had("torch", place))
    taken = [each for each in there if all(row is None or row.contains(each) for row in wanted)]
    old = taken and max(taken) < since
    cpu = any(url.endswith("/cpu") for url in (instead.index, *instead.extra))
    return "on the CPU, with no GPU" if old or cpu else ""


def _of_here(request: PipRequest, place: Place) -> PipRequest:
    """Leave out what is for other machines, and what of CUDA torch asks for itself on this one."""
    plain = tuple(t.split(";")[0].strip() for t in request.requirements if place.takes(t))
    plain = tuple(each for each in plain if not of_cuda(each)) or plain
    missed = tuple((old.split(";")[0].strip(), there) for old, there in request.missed)
    return replace(request, requirements=plain, missed=missed, hashes=())


def _paired(there: Sequence[str], texts: Sequence[str], place: Place) -> list[str]:
    """Ask for companions that go with torch, where one of ``texts`` moved, or is for another.

    A torch that stays where it was pinned decides; pip finds what goes with one that moved.
    """
    ours = own(there)
    torch = [text for text in ours if Requirement(text).name == "torch"]
    moved_on = [text for text in ours if text not in texts]
    pins = [pin for text in torch if text in texts and (pin := pin_of(text))]
    given = {text: _partner(text, pins[0], place) for text in ours if pins}
    if not all(given.values()) or (moved_on and not given):
        kept = [text for text in torch if text in moved_on] or moved_on[:1]
        given = {text: _freed(text) for text in ours if text not in kept}
    return [given.get(text, text) for text in there]


def _partner(text: str, torch: Version, place: Place) -> str:
    """Return a companion as the release that goes with a torch; "" where none is known to."""
    name = Requirement(text).name
    releases = sorted({Version(each).release[:2] for each in had(name, place)})
    # which patch release goes with torch's pip finds itself
    minors = [f"{name}=={major}.{minor}.*" for major, minor in reversed(releases)]
    for each in (text, *minors):
        row = torch_of(Requirement(each))
        if row is None or row.contains(torch):
            return each
    return ""


def _freed(text: str) -> str:
    """Leave a companion to pip; of torch itself an older release is not wanted."""
    name, pin = Requirement(text).name, pin_of(text)
    if name != "torch":
        return name
    return f"torch>={pin}" if pin else text


def _nearest(text: str, there: Sequence[str]) -> str:
    known = [Version(each) for each in there]
    wanted = Requirement(text)
    if not known or any(wanted.specifier.contains(each) for each in known):
        return text
    named = [Version(part.version.rstrip(".*")) for part in specifiers(wanted)]
    later = [each for each in known if named and each >= max(named)]
    nearest = min(later, default=max(known))
    return f"{wanted.name}=={nearest}"
