"""What pip is asked for, judged by the wheels there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from generator.datafiles import subdirs
from generator.errors import AbsentError, ArmtorchError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_pip import UPSTREAM, PipRequest
from generator.explaining.records import minor_of
from generator.explaining.requirements import (
    Place,
    elsewhere,
    label_of,
    label_of_index,
    of_cuda,
    pin_of,
    seen,
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
    row = subdirs().get(place.subdir)
    patterns = list(row.wheel_platforms) if row else facts().wheel_platforms.get(place.subdir, ())
    tags = wheel["tags"].split(".") if wheel else ["any"]
    minor = re.fullmatch(r"cp3(\d+)", wheel["python"]) if wheel and wheel["abi"] != "abi3" else None
    if tags != ["any"] and not any(re.fullmatch(p, tag) for p in patterns for tag in tags):
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
    row = subdirs().get(place.subdir)
    patterns = row.wheel_platforms if row else facts().wheel_platforms.get(place.subdir, ())
    if not offer.is_for(patterns) or offer.yanked is not None:
        return False
    if place.python and not offer.serves(PythonBuild.parse(place.python)):
        return False
    # where nothing else fits, pip takes a release before its time, too (PEP 440)
    return wanted.specifier.contains(offer.version, prereleases=True)
