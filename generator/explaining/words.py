"""Explanations in plain words, in fewer than twenty lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, get_args

from generator.explaining.causes_in_words import lead, listed, merged, sentence
from generator.explaining.findings import Cause, Finding
from generator.explaining.report import Answer, Explanation, Installed
from generator.explaining.wheels import Judged
from generator.printing import shortened

#: lines of each part, so that all of them together stay below twenty
_WHY, _WARNINGS, _NOTES = 5, 2, 2
#: characters of a command above its explanation
_SHOWN: Final = 160


def answer_lines(answer: Answer) -> list[str]:
    """Return the text: each install's, numbered where there are several, and the mended file."""
    several = len(answer.installs) > 1
    found: list[str] = []
    for number, explanation in enumerate(answer.installs, start=1):
        if several:
            found.append(f"{number}. {shortened(explanation.command, _SHOWN)}")
        found += [f"   {line}" if several else line for line in lines_of(explanation)]
    if answer.file:
        found += ["The file, corrected:", *(f"  {line}" for line in answer.file.splitlines())]
    return found


def lines_of(explanation: Explanation) -> list[str]:
    """Return the text: the verdict, why, what works, warnings."""
    found = [verdict(explanation)]
    found += [f"  {line}" for line in _wheels(explanation.wheels)]
    found += [f"  not looked at: {each}" for each in explanation.unseen]
    why = [sentence(finding, explanation.subdir) for finding in merged(explanation.findings)]
    found += [f"  {line}" for line in _capped(why, _WHY, "causes")]
    found += _commands(explanation)
    for notice in explanation.warnings[:_WARNINGS]:
        head = "Warning" if notice.certain else "Warning, if this is such a machine"
        found.append(f"{head}: {notice.text}; {notice.advice}.")
    found += [f"Note: {note}" for note in (*_ages(explanation), *explanation.notes)][:_NOTES]
    return found


def verdict(explanation: Explanation) -> str:
    """Return the one line that says it all."""
    if explanation.wheels:
        return _of_pip(explanation)
    if explanation.unseen:
        return "This was not looked at: it cannot be read."
    return _of_channels(explanation)


def _of_channels(explanation: Explanation) -> str:
    subdir, findings = explanation.subdir, explanation.findings
    if explanation.outcome == "works":
        brings = _brief(explanation.installs)
        if explanation.commands:
            return f"This installs on {subdir}, and does not run on this machine: {brings}."
        return f"This works on {subdir}: it installs {brings}."
    silent = listed(
        dict.fromkeys(f.channel for f in findings if f.cause in {"unreachable", "malformed"})
    )
    if explanation.outcome == "unknown":
        if not silent:
            brings = _brief(explanation.installs)
            return f"Cannot tell on {subdir}: with other values it installs {brings}."
        rest = f"what the others have is {'' if explanation.installs else 'not '}enough"
        alone = not any(state.usable for state in explanation.channels)
        return f"Cannot tell: {silent} gave no usable answer{'' if alone else ', and ' + rest}."
    if not findings:
        return f"This does not work on {subdir}: the packages do not go together."
    ranked = sorted(findings, key=lambda finding: get_args(Cause).index(finding.cause))
    worst = {finding.package: finding for finding in reversed(ranked)}
    # torch's own causes come first, and those of channels before any package's
    about = next((finding.package for finding in findings if finding.package), "")
    first = next(finding for finding in ranked if finding.package in {"", about})
    same = [f.package for f in findings if f.package and _says(worst[f.package]) == _says(first)]
    more = f", and {silent} did not answer" if silent and first.package else ""
    return f"This does not work on {subdir}: {lead(first, same)}{more}."


def _says(finding: Finding) -> tuple[str, str, str]:
    return finding.cause, finding.virtual, finding.needed


def _wheels(wheels: Sequence[Judged]) -> Iterator[str]:
    """Yield a line for each that fails or is torch's own, and one for all others of a kind."""
    states = {"works": "works", "fails": "does not work", "unseen": "was not looked at"}
    others: dict[str, list[str]] = {}
    for wheel in wheels:
        said = f"{states[wheel.state]}: {wheel.detail}"
        own = re.match(r"torch(?:vision|audio)?(?![\w-])", wheel.requirement)
        if wheel.state == "fails" or own:
            yield f"{wheel.requirement} {said}"
        else:
            said = "works: there are wheels" if wheel.state == "works" else said
            others.setdefault(said, []).append(wheel.requirement)
    for said, names in others.items():
        plural = re.sub("^works", "work", re.sub("^was", "were", said))
        yield f"{listed(names)} {plural if names[1:] else said}"


def _of_pip(explanation: Explanation) -> str:
    subdir, wheels = explanation.subdir, explanation.wheels
    if explanation.outcome == "fails":
        names = listed(wheel.requirement for wheel in wheels if wheel.state == "fails")
        return f"This is pip's, and does not work on {subdir}: {names} cannot be had as asked."
    if explanation.outcome == "unknown":
        names = listed(wheel.requirement for wheel in wheels if wheel.state == "unseen")
        return f"This is pip's, and was not looked at: {names}."
    return f"This is pip's, and there are wheels for {subdir}."


def _commands(explanation: Explanation) -> Iterator[str]:
    if explanation.outcome == "works" and not explanation.commands:
        return
    if explanation.unseen or (explanation.wheels and not explanation.commands):
        return
    if explanation.outcome == "unknown" and explanation.installs and not explanation.findings:
        return
    if explanation.outcome == "unknown" and not explanation.commands:
        yield "Look at the network, or name a mirror (--channel-alias); --offline uses the cache."
    elif not explanation.commands:
        yield "No command was found that works here."
    unseen = explanation.wheels and explanation.outcome == "unknown"
    for number, command in enumerate(explanation.commands):
        differs = ", ".join(shortened(each, _SHOWN) for each in command.differs)
        works = "This was looked at, and works" if unseen else "This works"
        head = works if number == 0 else "Or"
        yield f"{head}, {differs}:" if differs else f"{head}:"
        yield f"  {command.command}"
        if command.installs:
            yield f"  installs {_brief(command.installs)}"


def _brief(installs: Sequence[Installed]) -> str:
    """``pytorch 2.10.0 (cpu), torchvision 0.25.0 (cpu) from armtorch``."""
    text = _records([each for each in installs if each.named])
    below = [each for each in installs if not each.named]
    return text + (f", on {_records(below)}" if below else "")


def _records(installs: Sequence[Installed]) -> str:
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


def _capped(lines: Iterable[str], most: int, what: str) -> list[str]:
    found = list(dict.fromkeys(lines))
    if len(found) <= most:
        return found
    return [*found[: most - 1], f"... and {len(found) - most + 1} more {what}; --json has them all"]
