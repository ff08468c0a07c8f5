"""Explanations in plain words, in fewer than twenty lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from generator.explaining.causes_in_words import lead, listed, merged, sentence
from generator.explaining.findings import Cause
from generator.explaining.notices import Notice
from generator.explaining.report import Explanation, Installed

#: lines of each part, so that all of them together stay below twenty
_WHY, _MISSING, _WARNINGS, _NOTES = 5, 3, 2, 2
#: the cause that the verdict names, the most telling first
_WEIGHT: Final[tuple[Cause, ...]] = (
    "no-channel",
    "virtual",
    "python",
    "conflict",
    "priority",
    "dependencies",
    "build",
    "version",
    "elsewhere",
    "absent",
    "malformed",
    "unreachable",
)


def lines_of(explanation: Explanation) -> list[str]:
    """Return the text: the verdict, why, what works, what is missing upstream, warnings."""
    found = [verdict(explanation)]
    why = [sentence(finding, explanation.subdir) for finding in merged(explanation.findings)]
    found += [f"  {line}" for line in _capped(why, _WHY, "causes")]
    found += _commands(explanation)
    if explanation.missing_upstream:
        found.append("What upstream lacks:")
        found += [f"  {line}" for line in _capped(explanation.missing_upstream, _MISSING, "gaps")]
    found += [_warning(each) for each in explanation.warnings[:_WARNINGS]]
    found += [f"Note: {note}" for note in (*_ages(explanation), *explanation.notes)][:_NOTES]
    return found


def verdict(explanation: Explanation) -> str:
    """Return the one line that says it all."""
    subdir, findings = explanation.subdir, explanation.findings
    if explanation.outcome == "works":
        brings = _brief(explanation.installs)
        if explanation.commands:
            return f"This installs on {subdir}, and does not run on this machine: {brings}."
        return f"This works on {subdir}: it installs {brings}."
    if explanation.outcome == "unknown":
        silent = [f.channel for f in findings if f.cause in {"unreachable", "malformed"}]
        return (
            f"Cannot tell: {listed(silent)} gave no usable answer, and what the others have is "
            "not enough."
            if len(silent) < len(explanation.channels)
            else f"Cannot tell: {listed(silent)} gave no usable answer."
        )
    if not findings:
        return f"This does not work on {subdir}: the packages do not go together."
    first = min(findings, key=lambda finding: _WEIGHT.index(finding.cause))
    same = [f for f in findings if f.cause == first.cause and f.package]
    return f"This does not work on {subdir}: {lead(first, [f.package for f in same])}."


def _commands(explanation: Explanation) -> Iterator[str]:
    if explanation.outcome == "works" and not explanation.commands:
        return
    if explanation.outcome == "unknown" and not explanation.commands:
        yield "Look at the network, or name a mirror (--channel-alias); --offline uses the cache."
    elif not explanation.commands:
        yield "No command was found that works here."
    for number, command in enumerate(explanation.commands):
        differs = ", ".join(command.differs)
        head = "This works" if number == 0 else "Or"
        yield f"{head}, {differs}:" if differs else f"{head}:"
        yield f"  {command.command}"
        yield f"  installs {_brief(command.installs)}"


def _brief(installs: Sequence[Installed]) -> str:
    """``pytorch 2.10.0 (cpu), torchvision 0.25.0 (cpu) from armtorch``."""
    shown = []
    for each in installs:
        kind = each.build.split("_")[0]
        known = kind.startswith(("cpu", "cuda")) and each.name != "cpuonly"
        shown.append(f"{each.name} {each.version}" + (f" ({kind})" if known else ""))
    channels = list(dict.fromkeys(each.channel for each in installs))
    return f"{', '.join(shown)} from {listed(channels)}" if shown else "nothing new"


def _ages(explanation: Explanation) -> Iterator[str]:
    old = [state for state in explanation.channels if state.age_days is not None]
    if old:
        days = max(state.age_days or 0.0 for state in old)
        names = listed([state.name for state in old])
        yield f"{names}: cached data, {days:.1f} days old ({old[0].detail})"


def _warning(notice: Notice) -> str:
    head = "Warning" if notice.certain else "Warning, if this is such a machine"
    return f"{head}: {notice.text}; {notice.advice}."


def _capped(lines: Iterable[str], most: int, what: str) -> list[str]:
    found = list(dict.fromkeys(lines))
    if len(found) <= most:
        return found
    return [*found[: most - 1], f"... and {len(found) - most + 1} more {what}; --json has them all"]
