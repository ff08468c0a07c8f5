"""Finds the causes: per package and channel first, then what does not go together."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace

from rattler import MatchSpec, RepoDataRecord

from generator.explaining.chains import conflicts, needing, of_the_machine, shortest_chain
from generator.explaining.channels import Asked
from generator.explaining.facts import aside, facts
from generator.explaining.findings import Cause, Finding
from generator.explaining.probing import Prober, Setting, foreign, satisfied
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
        return _virtual(spec, source, bad[0], setting, (text_of(record), bad[0]))
    able = [record for record, bad in refused if not bad]
    chain = shortest_chain(able, setting, prober)
    if chain is not None and chain.cause == "virtual":
        return _virtual(spec, source, chain.chain[-1], setting, chain.chain)
    older = of_the_machine([f"{source.url}::{spec.rpartition('::')[2]}"], setting, prober)
    if older is not None:
        return needing(_of(spec, source, "virtual"), older, setting)
    if chain is None:
        return _of(spec, source, "dependencies")
    return replace(
        _of(spec, source, "priority" if chain.cause == "priority" else "dependencies"),
        chain=chain.chain,
        offered=chain.offered,
        against=chain.against,
        hidden_by=chain.hidden_by,
        detail=chain.cause,
    )


def _virtual(
    spec: str, source: Asked, need: str, setting: Setting, chain: tuple[str, ...]
) -> Finding:
    name, _, needed = need.partition(" ")
    found = replace(_of(spec, source, "virtual"), virtual=name, needed=needed, chain=chain)
    return replace(found, found=setting.virtual(name))
