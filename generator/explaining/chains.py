"""Why one package that is there cannot be installed: the shortest way down to what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rattler import MatchSpec, RepoDataRecord

from generator.explaining.findings import Cause
from generator.explaining.probing import Prober, Setting, satisfied, smallest_failing
from generator.explaining.records import matching, newest_first, versions, virtual_specs

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


def shortest_chain(
    records: Sequence[RepoDataRecord], setting: Setting, prober: Prober
) -> Chain | None:
    """Follow the records' dependencies to the nearest one that cannot be had; None if all can."""
    return _Walk(setting, prober).from_records(records, (), _DEPTH)


class _Walk:
    def __init__(self, setting: Setting, prober: Prober) -> None:
        self._setting = setting
        self._prober = prober
        self._seen: set[str] = set()

    def from_records(
        self, records: Sequence[RepoDataRecord], links: tuple[str, ...], depth: int
    ) -> Chain | None:
        found = [
            chain
            for record in _tried(records, self._setting)
            if (chain := self._from_record(record, links, depth)) is not None
        ]
        return min(found, key=lambda chain: len(chain.links), default=None)

    def _from_record(
        self, record: RepoDataRecord, links: tuple[str, ...], depth: int
    ) -> Chain | None:
        links = (*links, f"{record.name.normalized} {record.version} {record.build}")
        depends = list(record.depends)
        # a requirement on the machine is the shortest chain there is
        for spec in sorted(depends, key=lambda text: not text.startswith("__")):
            if spec.startswith("__"):
                if not satisfied(spec, self._setting):
                    return Chain(links=(*links, spec), cause="virtual")
            elif self._prober.solve([spec], self._setting) is None and spec not in self._seen:
                self._seen.add(spec)
                return self._from_spec(spec, links, depth - 1)
        for spec in (text for text in record.constrains if text.startswith("__")):
            name = spec.split()[0]
            if self._setting.virtual(name) is not None and not satisfied(spec, self._setting):
                return Chain(links=(*links, spec), cause="virtual")
        plain = [spec for spec in depends if not spec.startswith("__")]
        if plain and self._prober.solve(plain, self._setting) is None:
            core = smallest_failing(plain, self._setting, self._prober)
            return Chain(links=links, cause="conflict", against=core)
        # what is left is a constraint on something that it also needs
        return Chain(links=links, cause="conflict", against=tuple(record.constrains[:2]))

    def _from_spec(self, spec: str, links: tuple[str, ...], depth: int) -> Chain | None:
        name = spec.split(maxsplit=1)[0].split("[", maxsplit=1)[0]
        wanted = MatchSpec(spec)
        visible = self._prober.visible(name, self._setting)
        fitting = matching(visible, wanted)
        if not fitting:
            hidden = self._hidden(name, wanted)
            cause: Cause = "priority" if hidden else "version" if visible else "absent"
            return Chain(
                links=(*links, spec),
                cause=cause,
                offered=versions(visible)[:3],
                hidden_by=hidden,
            )
        if depth <= 0:
            return Chain(links=(*links, spec), cause="dependencies")
        return self.from_records(fitting, links, depth)

    def _hidden(self, name: str, wanted: MatchSpec) -> str:
        """Return the channel that hides a fitting record of a later one; "" when none does."""
        subdirs, channels = self._setting.subdirs, self._prober.channels
        having = [s for s in self._setting.usable if channels.records(s, subdirs, name)]
        later = having[1:]
        if any(matching(channels.records(s, subdirs, name), wanted) for s in later):
            return having[0].name
        return ""


def _tried(records: Sequence[RepoDataRecord], setting: Setting) -> list[RepoDataRecord]:
    """Choose what to look into: the newest that the machine can take, one of each kind."""
    able = [r for r in records if all(satisfied(spec, setting) for spec in virtual_specs(r))]
    kinds: dict[tuple[str, str], RepoDataRecord] = {}
    for record in newest_first(able or records):
        kinds.setdefault((str(record.version), str(record.build).split("_")[0]), record)
    return list(kinds.values())[:_WIDTH]
