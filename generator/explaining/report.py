"""An explanation as data: what ``--json`` writes, and what the words are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DataclassSchema
from rattler import RepoDataRecord

from generator.explaining.channels import Asked
from generator.explaining.differing import accelerator, differences, wants_gpu
from generator.explaining.facts import facts
from generator.explaining.findings import Finding
from generator.explaining.notices import Notice
from generator.explaining.probing import Solution
from generator.explaining.request import Request, name_of
from generator.explaining.searching import Suggestion
from generator.explaining.wheels import Judged

#: ``unknown``: a channel did not answer, so that nothing can be said
Outcome = Literal["works", "fails", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One package that a command brings."""

    name: str
    version: str
    build: str
    channel: str
    #: whether the command names it; a torch that it does not name is what the others run on
    named: bool


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that was solved."""

    command: str
    #: everything in which it differs from what was asked
    differs: tuple[str, ...]
    #: what torch computes on in it, ``cpu`` or ``cuda130``; "" where no torch is installed
    accelerator: str
    installs: tuple[Installed, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All of ``armtorch explain``."""

    #: as read
    command: str
    subdir: str
    virtual_packages: tuple[str, ...]
    channels: tuple[Asked, ...] = ()
    outcome: Outcome
    #: what the command as it is brings
    installs: tuple[Installed, ...] = ()
    findings: tuple[Finding, ...] = ()
    #: the shortest first; each was solved
    commands: tuple[Command, ...] = ()
    #: pip's requirements, one by one
    wheels: tuple[Judged, ...] = ()
    #: what nobody looked at, in plain words
    unseen: tuple[str, ...] = ()
    #: the Python of the environment that it leaves, "" for none
    python: str = ""
    warnings: tuple[Notice, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def dies(self) -> bool:
        """Whether it installs what does not run on the machine."""
        return self.outcome == "works" and bool(self.commands)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All of ``armtorch explain``: every install of an input, in order."""

    installs: tuple[Explanation, ...]
    #: the corrected environment file, "" where the input is none or nothing is to be mended
    file: str = ""

    @property
    def outcome(self) -> Outcome:
        """``fails`` if any fails, ``unknown`` if something was not looked at, ``works`` else."""
        found = {each.outcome for each in self.installs}
        # what installs and does not run has another command beside it
        if any(each.outcome == "fails" or each.dies for each in self.installs):
            return "fails"
        return "unknown" if "unknown" in found else "works"


def installed(
    records: Sequence[RepoDataRecord], solution: Solution, sources: tuple[Asked, ...]
) -> tuple[Installed, ...]:
    """Describe what is asked for, and the torch that it runs on where that is not named.

    A channel is called as the person calls it.
    """
    names = {source.url.rstrip("/"): source.name for source in sources}
    core = {record.name.normalized for record in records} & set(facts().core)
    below = [] if core or not records else [r for r in solution if r.name.normalized == "pytorch"]
    return tuple(
        Installed(
            name=record.name.normalized,
            version=str(record.version),
            build=str(record.build),
            channel=names.get(str(record.channel).rstrip("/"), str(record.channel)),
            named=record not in below,
        )
        for record in (*records, *below)
    )


def command_of(
    suggestion: Suggestion, asked: Request, told: Suggestion | None, sources: tuple[Asked, ...]
) -> Command:
    """Describe a suggestion; ``told`` is one with a driver, for who asked for a GPU."""
    computes = accelerator(suggestion.solution)
    words = differences(asked, suggestion.request)
    if wants_gpu(asked) and computes == "cpu":
        driver = told.request.overrides[0].partition("=")[2] if told else ""
        would = f" (it would use one with a driver for CUDA {driver})" if driver else ""
        # one build of macOS serves the CPU and Metal (decision D5)
        mac = any(record.subdir == "osx-arm64" for record in suggestion.solution)
        without = "without CUDA, with Apple's GPU (mps)" if mac else "on the CPU, with no GPU"
        words = (f"{without}{would}", *words)
    command = suggestion.request.command()
    if asked.client == "pixi" and asked.origin == "file":
        # what a manifest has stays in it, and is solved along, whatever is added
        left = {name_of(spec) for spec in suggestion.request.specs}
        other = [name_of(s) for s in asked.specs if s not in suggestion.request.specs]
        if {*other} - left:
            where = suggestion.request.target if suggestion.request.target[:1] != ("",) else ()
            command = f"{' '.join(['pixi remove', *where, *dict.fromkeys(other)])} && {command}"
    return Command(
        command=command,
        differs=words,
        accelerator=computes,
        installs=installed(suggestion.installs, suggestion.solution, sources),
    )


def to_json(kind: type[Any], value: Any) -> str:
    """Return a report as JSON text."""
    content = TypeAdapter(kind).dump_python(value, mode="json")
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


class _Closed(GenerateJsonSchema):
    """Has all in a report that its schema names, and nothing else."""

    def dataclass_schema(self, schema: DataclassSchema) -> JsonSchemaValue:
        made = {"additionalProperties": False, **super().dataclass_schema(schema)}
        return {**made, "required": list(made["properties"])}


def schema_of(kind: type[Any]) -> str:
    """Return the JSON Schema of a report."""
    schema = TypeAdapter(kind).json_schema(mode="serialization", schema_generator=_Closed)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
