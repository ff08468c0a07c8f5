"""Why what is there cannot be had: the way down to what is missing, or what disagrees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import Final

from rattler import MatchSpec, RepoDataRecord

from generator.explaining.findings import Cause, Finding
from generator.explaining.probing import Prober, Setting, foreign, readable, satisfied
from generator.explaining.records import (
    matching,
    newest_first,
    pythons,
    text_of,
    versions,
    virtual_specs,
)
from generator.explaining.request import name_of, parsed

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
    specs: Sequence[str], setting: Setting, prober: Prober
) -> tuple[RepoDataRecord, str] | None:
    """Return what asks for a newer system, with its spec, where all is there but for that."""
    for name in () if prober.impatient else _SYSTEMS:
        newest = setting.with_virtual(f"{name}=99")
        there = prober.solve(specs, newest) if setting.virtual(name) or name == "__cuda" else None
        for record in there or ():
            needs = [spec for spec in virtual_specs(record) if not satisfied(spec, setting)]
            if needs:
                return record, needs[0]
    return None


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
    if (older := of_the_machine(core, setting, prober)) is not None:
        return needing(found, older, setting)
    chosen = {spec: _chosen(spec, setting, prober) for spec in core}
    return replace(found, chain=next(_disagreements(chosen, setting, prober), ()))


def needing(found: Finding, older: tuple[RepoDataRecord, str], setting: Setting) -> Finding:
    """Add to a finding what of the machine a record asks for in vain."""
    record, need = older
    name, _, needed = need.partition(" ")
    above = () if record.name.normalized == found.package else (found.package,)
    return replace(
        found,
        virtual=name,
        needed=needed,
        found=setting.virtual(name),
        chain=(*above, text_of(record), need),
    )


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
