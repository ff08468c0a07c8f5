"""Why one package that is there cannot be installed: the shortest way down to what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rattler import MatchSpec, RepoDataRecord

from generator.explaining.findings import Cause
from generator.explaining.probing import (
    Prober,
    Setting,
    foreign,
    readable,
    satisfied,
)
from generator.explaining.records import matching, newest_first, text_of, versions, virtual_specs

#: how deep a chain is followed, and how many records of one name are tried
_DEPTH: Final = 8
_WIDTH: Final = 3


@dataclass(frozen=True, kw_only=True)
class Chain:
    """From a package down to what fails, and what is the matter there."""

    #: specs, the package's own record first
    links: tuple[str, ...]
    cause: Cause
    #: what there is instead
    offered: tuple[str, ...] = ()
    #: ``conflict``: what does not go together
    against: tuple[str, ...] = ()
    hidden_by: str = ""

    def below(self, link: str) -> Chain:
        """Return the chain with one more link above it."""
        return replace(self, links=(link, *self.links))


def shortest_chain(
    records: Sequence[RepoDataRecord], setting: Setting, prober: Prober
) -> Chain | None:
    """Follow the records' dependencies to the nearest one that cannot be had; None if all can."""
    # a dependency is hidden by its name, with every client
    return _Walk(replace(setting, by_name=True), prober).from_records(records, _DEPTH)


class _Walk:
    def __init__(self, setting: Setting, prober: Prober) -> None:
        self._setting = setting
        self._prober = prober
        #: what was found below a spec; a spec that is being looked into counts as a plain failure
        self._known: dict[str, Chain] = {}

    def from_records(self, records: Sequence[RepoDataRecord], depth: int) -> Chain | None:
        return _shortest(
            self._from_record(record, depth) for record in _tried(records, self._setting)
        )

    def _from_record(self, record: RepoDataRecord, depth: int) -> Chain:
        link = text_of(record)
        found = _shortest(self._failing(record, depth))
        if found is not None:
            return found.below(link)
        plain = [spec for spec in record.depends if not spec.startswith("__")]
        if plain and not self._prober.goes(plain, self._setting):
            core = self._prober.smallest_failing(plain, self._setting)
            return Chain(links=(link,), cause="conflict", against=core)
        # what is left is a constraint on something that it also needs
        return Chain(links=(link,), cause="conflict", against=tuple(record.constrains[:2]))

    def _failing(self, record: RepoDataRecord, depth: int) -> Iterator[Chain]:
        """Find each dependency, and each constraint on the machine, that fails by itself."""
        for spec in record.depends:
            if spec.startswith("__"):
                if not satisfied(spec, self._setting):
                    yield Chain(links=(spec,), cause="virtual")
            elif self._prober.solve([spec], self._setting) is None:
                yield self._from_spec(spec, depth - 1)
        for spec in record.constrains:
            there = spec.startswith("__") and bool(self._setting.virtual(spec.split()[0]))
            if there and not satisfied(spec, self._setting):
                yield Chain(links=(spec,), cause="virtual")

    def _from_spec(self, spec: str, depth: int) -> Chain:
        if spec in self._known:
            return self._known[spec]
        self._known[spec] = Chain(links=(spec,), cause="dependencies")
        name, wanted = spec.split(maxsplit=1)[0].split("[", maxsplit=1)[0], readable(spec)
        if wanted is None:
            self._known[spec] = Chain(links=(spec,), cause="malformed")
            return self._known[spec]
        visible = self._prober.visible(name, self._setting)
        fitting = matching(visible, wanted)
        if not fitting:
            hidden = self._hidden(name, wanted)
            cause: Cause = "priority" if hidden else "version" if visible else "absent"
            self._known[spec] = Chain(
                links=(spec,), cause=cause, offered=versions(visible)[:3], hidden_by=hidden
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


def _shortest(chains: Iterable[Chain]) -> Chain | None:
    # a board is told of its driver first, and of builds for other boards where nothing else fails
    return min(
        chains,
        key=lambda chain: (chain.links[-1].startswith("arm-variant"), len(chain.links)),
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
