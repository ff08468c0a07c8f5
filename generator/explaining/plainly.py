"""The same asked of pip without what is for other machines: labels, indexes, releases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.version import Version

from generator.explaining.facts import facts
from generator.explaining.reading_pip import UPSTREAM, PipRequest
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
    specifiers,
    torch_of,
    unreadable,
)


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
