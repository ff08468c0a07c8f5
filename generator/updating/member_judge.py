"""What a release's members say against it before it is locked: patches, layout, libraries."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from generator.errors import MalformedError
from generator.inspecting.read_wheel import pattern
from generator.model import Finding, PythonBuild
from generator.naming import is_bundled_place, without_hash
from generator.rendering.layout import Patch, Rule, taken
from generator.updating.judging import Prospect
from generator.upstream import Offer, WheelReader

_MENDED: Final = "look at the member, then mend the patch in generator/data/layout.yaml"
_LAYOUT: Final = "compare the wheel with generator/data/layout.yaml"


@dataclass(frozen=True, kw_only=True)
class MemberJudge:
    """Holds a release's wheels against the rules of data/layout.yaml, before they are built."""

    reader: WheelReader

    def __call__(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return what of the layout does not fit the wheels; see `Judge`."""
        version = prospect.release.version.public
        rules = taken(prospect.project, version, prospect.subdir.name, prospect.accelerator)
        torch = self._torchs(prospect)
        found: list[Finding] = []
        for python, offer in prospect.wheels.items():
            said = self._wheel(offer, rules, version, torch)
            found += [replace(each, python=python) for each in said]
        return _merged(found, prospect)

    def _wheel(
        self, offer: Offer, rules: tuple[Rule, ...], version: str, torch: frozenset[str]
    ) -> tuple[Finding, ...]:
        """Judge one wheel; from the cache when it was judged by the same rules before."""
        cache, asked = self.reader.cache, f"{offer.sha256};{rules!r};{sorted(torch)}"
        key = hashlib.sha256(asked.encode()).hexdigest()
        if offer.sha256 and (known := cache.verdicts.get(key)) is not None:
            return known
        members = self.reader.members(offer)
        said = (
            lacking(rules, members)
            or clashing(members, torch)
            or self._unpatched(rules, offer, members, version)
        )
        found = () if said is None else (said,)
        if offer.sha256:
            cache.verdicts.keep(key, found)
        return found

    def _torchs(self, prospect: Prospect) -> frozenset[str]:
        if prospect.project == "torch" or not prospect.torch:
            return frozenset()
        facts = self.reader.wheel(next(iter(prospect.torch.values())))
        return frozenset(facts.libraries)

    def _unpatched(
        self, rules: Iterable[Rule], offer: Offer, members: Iterable[str], version: str
    ) -> Finding | None:
        for rule, member in _patched(rules, members):
            patch = rule.patch
            if patch is None or patch.was_read_for(version):
                continue
            if what := unfit(patch, member, self._text(offer, member)):
                return Finding(kind="patch", detail=what, next_step=_MENDED)
        return None

    def _text(self, offer: Offer, member: str) -> str:
        try:
            return self.reader.small_member(offer, member).decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError(
                f"{member} is not UTF-8: {error}",
                where=offer.filename,
                next_step="report it upstream",
            ) from error


def unfit(patch: Patch, member: str, text: str) -> str | None:
    """Say why a member can be neither patched nor left as it is; None where it can.

    The same as templates/build.py decides: a place to patch, or no reason to.
    """
    places = len(re.findall(patch.pattern, text))
    if places == 1 or (places == 0 and not re.search(patch.probe, text)):
        return None
    return f"{member} has {places} places to patch, not 1, and is patched because {patch.why}"


def lacking(rules: Iterable[Rule], members: Iterable[str]) -> Finding | None:
    """Find a required rule that no member of a wheel is for."""
    there = tuple(members)
    for rule in rules:
        globs = [pattern(glob) for glob in rule.match]
        if rule.required and not any(any(map(glob.fullmatch, there)) for glob in globs):
            detail = f"it has nothing at {', '.join(rule.match)}, which the package is made of"
            return Finding(kind="layout", detail=detail, next_step=_LAYOUT)
    return None


def clashing(members: Iterable[str], torch: frozenset[str]) -> Finding | None:
    """Find a copy of a library that torch itself has: two of one name would be loaded."""
    copies = sorted(
        member for member in members if is_bundled_place(member) and without_hash(member) in torch
    )
    if not copies:
        return None
    more = f" and {len(copies) - 1} more" if len(copies) > 1 else ""
    return Finding(
        kind="soname",
        detail=f"it bundles {copies[0]}{more}, which torch has",
        next_step="report it upstream: a companion loads torch's own libraries",
    )


def rule_of(rules: Iterable[Rule]) -> Callable[[str], Rule | None]:
    """Return what tells which rule a member gets: the first that matches decides."""
    compiled = [(rule, [pattern(glob) for glob in rule.match]) for rule in rules]

    def find(member: str) -> Rule | None:
        fits = (rule for rule, globs in compiled if any(g.fullmatch(member) for g in globs))
        return next(fits, None)

    return find


def _patched(rules: Iterable[Rule], members: Iterable[str]) -> Iterator[tuple[Rule, str]]:
    """Yield the members that a rule with a patch gets: the first rule that matches decides."""
    rules, there = tuple(rules), tuple(members)
    globs = [pattern(glob) for rule in rules if rule.patch is not None for glob in rule.match]
    decides = rule_of(rules)
    for member in sorted({each for glob in globs for each in filter(glob.fullmatch, there)}):
        if (rule := decides(member)) is not None and rule.patch is not None:
            yield rule, member


def _merged(found: list[Finding], prospect: Prospect) -> tuple[Finding, ...]:
    """Return one finding for the release where every wheel has the same."""
    pythons: Mapping[PythonBuild, Offer] = prospect.wheels
    alike = {(each.kind, each.detail) for each in found}
    if len(found) == len(pythons) and len(alike) == 1:
        return (replace(found[0], python=None),)
    return tuple(found)
