"""Finds the causes: per package and channel first, then what does not go together."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Final

from rattler import MatchSpec, RepoDataRecord

from generator.explaining.channels import Asked
from generator.explaining.facts import aside, facts
from generator.explaining.findings import Cause, Finding
from generator.explaining.probing import Prober, Setting, foreign, readable, satisfied
from generator.explaining.records import (
    builds,
    matching,
    newest_first,
    pythons,
    text_of,
    versions,
    virtual_specs,
)
from generator.explaining.request import name_of, parsed

_CHANNEL_CAUSES: dict[str, Cause] = {
    "absent": "no-channel",
    "unreachable": "unreachable",
    "malformed": "malformed",
    "denied": "denied",
}


def diagnose(specs: Sequence[str], setting: Setting, prober: Prober) -> tuple[Finding, ...]:
    """Return every cause why ``specs`` have no solution; channels that failed come first.

    Works for a request that has a solution, too: only channels' states are found then.
    """
    found = [
        Finding(cause=_CHANNEL_CAUSES[source.state], channel=source.name, detail=source.detail)
        for source in setting.sources
        if not source.usable
    ]
    # a name that stands for several channels is said once
    found = list({(each.cause, each.channel): each for each in found}.values())
    if prober.solve(specs, setting) is not None:
        return tuple(found)
    names = [name_of(spec) for spec in specs]
    prober.fetch(names, setting)
    for source in setting.usable:
        channels = prober.channels
        gone = [name for name in names if not channels.records(source, setting.subdirs, name)]
        channels.fetch(source, facts().subdirs, gone)
    if len(specs) > 1 and all(prober.visible(name, setting) for name in names):
        prober.goes(names, setting)  # where they do, each alone does
    healthy = []
    for spec in specs:
        if prober.goes([spec], setting):
            healthy.append(spec)
        else:
            found += _single(spec, setting, prober)
    causes = [*found, *conflicts(healthy, setting, prober)]
    return tuple(sorted(causes, key=_about))


def _about(finding: Finding) -> int:
    """Return where a cause stands: channels first, then torch, then what chooses its build."""
    names = [name_of(spec) for spec in (finding.spec, *finding.against) if spec]
    return min((aside(name) for name in names if name != "python"), default=-1)


def _single(spec: str, setting: Setting, prober: Prober) -> list[Finding]:
    """Find out why one package alone cannot be had, on each channel that it is asked from."""
    name, wanted = name_of(spec), parsed(spec)
    channel = spec.partition("::")[0] if "::" in spec else None
    asked = [s for s in setting.usable if channel in {None, s.name, s.url.rstrip("/")}]
    found: list[Finding] = []
    first, fitted = "", ""
    for source in {each.name: each for each in asked}.values():
        # one name may stand for several channels, as defaults does
        records = [
            record
            for each in asked
            if each.name == source.name
            for record in prober.channels.records(each, setting.subdirs, name)
        ]
        if not records:
            found.append(_not_there(spec, source, setting, prober))
            continue
        fitting = matching(records, wanted)
        if not fitting:
            found.append(_other(spec, source, records, wanted))
        elif setting.strict and (first if setting.by_name else fitted):
            hidden = replace(_of(spec, source, "priority"), offered=versions(fitting)[:3])
            found.append(replace(hidden, hidden_by=first if setting.by_name else fitted))
        else:
            found.append(_unusable(spec, source, fitting, setting, prober))
        first = first or source.name
        fitted = fitted or (source.name if fitting else "")
    if any(finding.cause != "absent" for finding in found):
        return [replace(finding, meant="") for finding in found]
    return found


def _not_there(spec: str, source: Asked, setting: Setting, prober: Prober) -> Finding:
    name, channels = name_of(spec), prober.channels
    others = [subdir for subdir in facts().subdirs if subdir != setting.machine.subdir]
    same = [each for each in setting.usable if each.name == source.name]
    having = tuple(
        subdir for subdir in others if any(channels.records(each, [subdir], name) for each in same)
    )
    if having:
        return replace(_of(spec, source, "elsewhere"), offered=having)
    return replace(_of(spec, source, "absent"), meant=_meant(name, source, setting, prober))


def _of(spec: str, source: Asked, cause: Cause) -> Finding:
    return Finding(cause=cause, package=name_of(spec), spec=spec, channel=source.name)


def _meant(name: str, source: Asked, setting: Setting, prober: Prober) -> str:
    """Return the name that was perhaps meant: a known one, or the nearest on the channel."""
    if name in facts().switches or prober.impatient:
        return ""
    names = prober.channels.names(source, setting.subdirs)
    if (renamed := facts().renames.get(name)) is not None and renamed in names:
        return renamed
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    # a letter too many, missing or wrong; other numbers and words are other packages
    digits = [re.sub(r"\D", "", each) for each in (name, *near)]
    alike = near and abs(len(near[0]) - len(name)) < 2 and len(set(digits)) == 1
    return near[0] if alike else ""


def _other(
    spec: str, source: Asked, records: Sequence[RepoDataRecord], wanted: MatchSpec
) -> Finding:
    """Say whether it is the version, the Python or the build that is not there."""
    name = name_of(spec)
    of_version = matching(records, MatchSpec(f"{name} {wanted.version or '*'}"))
    cause: Cause = "build" if of_version else "version"
    offered = builds(of_version) if of_version else versions(records)
    if of_version and "py3" in (wanted.build or "") and pythons(of_version):
        cause, offered = "python", pythons(of_version)
    return replace(_of(spec, source, cause), offered=offered)


def _unusable(
    spec: str, source: Asked, fitting: Sequence[RepoDataRecord], setting: Setting, prober: Prober
) -> Finding:
    """Explain records that fit the request and cannot be installed."""
    # a build for other boards is told of where there is no other
    fitting = [record for record in fitting if not foreign(record, setting)] or fitting
    refused = [
        (record, [each for each in virtual_specs(record) if not satisfied(each, setting)])
        for record in newest_first(fitting)
    ]
    if all(bad for _, bad in refused):
        # the record that asks for least: the newest of those with the fewest demands
        record, bad = min(refused, key=lambda pair: len(pair[1]))
        return needing(_of(spec, source, "virtual"), (text_of(record), bad[0]), setting)
    able = [record for record, bad in refused if not bad]
    chain = shortest_chain(able, setting, prober)
    if chain is not None and chain.cause == "virtual":
        return needing(_of(spec, source, "virtual"), chain.chain, setting)
    own = f"{source.url}::{spec.rpartition('::')[2]}"
    if older := of_the_machine(name_of(spec), [own], setting, prober):
        return needing(_of(spec, source, "virtual"), older, setting)
    if chain is None:
        return _of(spec, source, "dependencies")
    return replace(
        chain,
        cause="priority" if chain.cause == "priority" else "dependencies",
        package=name_of(spec),
        spec=spec,
        channel=source.name,
        detail=chain.cause,
    )


#: how deep a chain is followed, and how many records of one name are tried
_DEPTH: Final = 8
_WIDTH: Final = 3
#: what a system has older than packages ask for
_SYSTEMS: Final = ("__glibc", "__osx", "__cuda")


def shortest_chain(
    records: Sequence[RepoDataRecord], setting: Setting, prober: Prober
) -> Finding | None:
    """Follow the records' dependencies to the nearest one that cannot be had; None if all can."""
    # a dependency is hidden by its name, with every client
    return _Walk(replace(setting, by_name=True), prober).from_records(records, _DEPTH)


def of_the_machine(
    package: str, specs: Sequence[str], setting: Setting, prober: Prober
) -> tuple[str, ...]:
    """Return the way from a package to what needs a newer system, where all is there but for that.

    Its last link is what is asked of the machine; () where that is not all.
    """
    for name in () if prober.impatient else _SYSTEMS:
        newest = setting.with_virtual(f"{name}=99")
        there = prober.solve(specs, newest) if setting.virtual(name) or name == "__cuda" else None
        for record in there or ():
            needs = [spec for spec in virtual_specs(record) if not satisfied(spec, setting)]
            if needs:
                above = () if record.name.normalized == package else (package,)
                return (*above, text_of(record), needs[0])
    return ()


def needing(found: Finding, chain: tuple[str, ...], setting: Setting) -> Finding:
    """Add to a finding what of the machine the last link of a chain asks for in vain."""
    name, _, needed = chain[-1].partition(" ")
    return replace(found, virtual=name, needed=needed, found=setting.virtual(name), chain=chain)


class _Walk:
    def __init__(self, setting: Setting, prober: Prober) -> None:
        self._setting = setting
        self._prober = prober
        #: what was found below a spec; a spec that is being looked into counts as a plain failure
        self._known: dict[str, Finding] = {}

    def from_records(self, records: Sequence[RepoDataRecord], depth: int) -> Finding | None:
        return _shortest(
            self._from_record(record, depth) for record in _tried(records, self._setting)
        )

    def _from_record(self, record: RepoDataRecord, depth: int) -> Finding:
        link = text_of(record)
        found = _shortest(self._failing(record, depth))
        if found is not None:
            return replace(found, chain=(link, *found.chain))
        plain = [spec for spec in record.depends if not spec.startswith("__")]
        if plain and not self._prober.goes(plain, self._setting):
            core = self._prober.smallest_failing(plain, self._setting)
            return Finding(chain=(link,), cause="conflict", against=core)
        # what is left is a constraint on something that it also needs
        return Finding(chain=(link,), cause="conflict", against=tuple(record.constrains[:2]))

    def _failing(self, record: RepoDataRecord, depth: int) -> Iterator[Finding]:
        """Find each dependency, and each constraint on the machine, that fails by itself."""
        for spec in record.depends:
            if spec.startswith("__"):
                if not satisfied(spec, self._setting):
                    yield Finding(chain=(spec,), cause="virtual")
            elif self._prober.solve([spec], self._setting) is None:
                yield self._from_spec(spec, depth - 1)
        for spec in record.constrains:
            there = spec.startswith("__") and bool(self._setting.virtual(spec.split()[0]))
            if there and not satisfied(spec, self._setting):
                yield Finding(chain=(spec,), cause="virtual")

    def _from_spec(self, spec: str, depth: int) -> Finding:
        if spec in self._known:
            return self._known[spec]
        self._known[spec] = Finding(chain=(spec,), cause="dependencies")
        name, wanted = spec.split(maxsplit=1)[0].split("[", maxsplit=1)[0], readable(spec)
        if wanted is None:
            self._known[spec] = Finding(chain=(spec,), cause="malformed")
            return self._known[spec]
        visible = self._prober.visible(name, self._setting)
        fitting = matching(visible, wanted)
        if not fitting:
            hidden = self._hidden(name, wanted)
            cause: Cause = "priority" if hidden else "version" if visible else "absent"
            self._known[spec] = Finding(
                chain=(spec,), cause=cause, offered=versions(visible)[:3], hidden_by=hidden
            )
        elif depth > 0 and (below := self.from_records(fitting, depth)) is not None:
            self._known[spec] = below
        return self._known[spec]

    def _hidden(self, name: str, wanted: MatchSpec) -> str:
        """Return the channel that hides a fitting record of a later one; "" when none does."""
        subdirs, channels = self._setting.subdirs, self._prober.channels
        having = [s for s in self._setting.usable if channels.records(s, subdirs, name)]
        later = having[1:] if self._setting.strict else []
        if any(matching(channels.records(s, subdirs, name), wanted) for s in later):
            return having[0].name
        return ""


def _shortest(chains: Iterable[Finding]) -> Finding | None:
    # a board is told of its driver first, and of builds for other boards where nothing else fails
    return min(
        chains,
        key=lambda chain: (chain.chain[-1].startswith("arm-variant"), len(chain.chain)),
        default=None,
    )


def _tried(records: Sequence[RepoDataRecord], setting: Setting) -> list[RepoDataRecord]:
    """Choose what to look into: the newest that the machine can take, one of each kind."""
    records = [r for r in records if not foreign(r, setting)] or records
    able = [r for r in records if all(satisfied(spec, setting) for spec in virtual_specs(r))]
    if not setting.virtual("__cuda"):
        # what computes on a GPU may say so only further down
        able = [r for r in able if not str(r.build).startswith("cuda")] or able
    kinds: dict[tuple[str, str], RepoDataRecord] = {}
    for record in newest_first(able or records):
        kinds.setdefault((str(record.version), str(record.build).split("_")[0]), record)
    return list(kinds.values())[:_WIDTH]


#: conflicts that are told apart in one request
_ROUNDS = 3


def conflicts(specs: Sequence[str], setting: Setting, prober: Prober) -> Iterator[Finding]:
    """Find the smallest subsets of ``specs`` without a solution; each spec alone has one."""
    left = list(specs)
    for number in range(_ROUNDS):
        if number and prober.impatient:
            return
        if len(left) < 2 or prober.goes(left, setting):
            return
        core = prober.smallest_failing(left, setting)
        if len(core) < 2:
            return
        yield _conflict(core, setting, prober)
        # of a Python and what it does not go with, the Python stays: others may not go with it too
        left.remove(next((s for s in reversed(core) if name_of(s) != "python"), core[-1]))


def _conflict(core: tuple[str, ...], setting: Setting, prober: Prober) -> Finding:
    python = next((spec for spec in core if name_of(spec) == "python"), None)
    if python is not None and len(core) == 2:
        (other,) = (spec for spec in core if spec != python)
        if offered := _other_pythons(other, python, setting, prober):
            return Finding(
                cause="python",
                package=name_of(other),
                spec=other,
                against=(python,),
                offered=offered,
            )
    found = Finding(cause="conflict", package=name_of(core[0]), spec=core[0], against=core[1:])
    if older := of_the_machine(found.package, core, setting, prober):
        return needing(found, older, setting)
    chosen = {spec: _chosen(spec, setting, prober) for spec in core}
    return replace(found, chain=next(_disagreements(chosen, setting, prober), ()))


def _other_pythons(spec: str, python: str, setting: Setting, prober: Prober) -> tuple[str, ...]:
    """Return the Pythons that a package has builds for, newest first, when ``python`` is none."""
    fitting = matching(prober.visible(name_of(spec), setting), parsed(spec))
    built = pythons(fitting)
    wanted = ".".join(str(parsed(python).version or "").lstrip("=").split(".")[:2])
    return () if wanted in built else tuple(reversed(built))


def _chosen(spec: str, setting: Setting, prober: Prober) -> RepoDataRecord | None:
    """Return what the solver takes for a spec alone."""
    found = prober.solve([spec], setting) or ()
    return next((r for r in found if r.name.normalized == name_of(spec)), None)


def _disagreements(
    chosen: dict[str, RepoDataRecord | None], setting: Setting, prober: Prober
) -> Iterator[tuple[str, ...]]:
    """Find two needs that have no solution together: ``("a 1 needs c >=2", "b 1 needs c <2")``."""
    for one, other in combinations(chosen, 2):
        for left, right in product(_needs(one, chosen[one]), _needs(other, chosen[other])):
            pair = [left[2], right[2]]
            if left[1] == right[1] and pair[0] != pair[1] and not prober.goes(pair, setting):
                yield f"{left[0]} {left[2]}", f"{right[0]} {right[2]}"


def _needs(spec: str, record: RepoDataRecord | None) -> list[tuple[str, str, str]]:
    """Return who asks, for which name, for what: the request itself and the record's depends."""
    own = [("you ask for", name_of(spec), spec)]
    if record is None:
        return own
    who = f"{record.name.normalized} {record.version} needs"
    plain = [text for text in record.depends if not text.startswith("__")]
    return own + [(who, text.split()[0], text) for text in plain]
