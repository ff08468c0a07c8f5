"""Build numbers that a channel has, for a lock that lost them: caches go by file name (D8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from generator.channel.local import LocalChannel
from generator.channel.places import open_place
from generator.channel.repodata import Record
from generator.errors import AbsentError
from generator.feedstock import Feedstock
from generator.matrix import variants
from generator.model import Lock, Variant
from generator.project import Project


def taken_numbers(
    project: Project, feedstock: Feedstock, lock: Lock, beside: Sequence[Variant] = ()
) -> dict[str, int]:
    """Return the first number that nobody has, by ``<line>/<package>``, where one is not 0.

    Asked are the destinations of feedstock.yaml and the folder that `build` writes to. One that
    does not answer ends the run: a number given twice is a package that caches never replace.
    ``beside`` are packages that are no variant of the lock.
    Raises UnreachableError, DeclinedError, MalformedError, IntegrityError: a channel does not say
    what it has.
    """
    bare = replace(lock, builds={})
    wanted: defaultdict[tuple[str, str, str, str], list[Variant]] = defaultdict(list)
    for variant in (*variants(feedstock, bare), *beside):
        label = feedstock.label(variant.train)
        wanted[label, variant.subdir, variant.package, variant.version].append(variant)
    found: dict[str, int] = {}
    for label, record in _published(project, feedstock):
        for variant in wanted.get((label, record.subdir, record.name, record.version), ()):
            number = record.build_number - variant.accelerator.build_offset
            # a metapackage is the same for every accelerator of its kind
            own = record.build.startswith(variant.accelerator.build_prefix)
            if number >= 0 and (own or variant.subdir == "noarch"):
                name = f"{variant.line}/{variant.package}"
                found[name] = max(found.get(name, 0), number + 1)
    return found


def _published(project: Project, feedstock: Feedstock) -> Iterator[tuple[str, Record]]:
    labels = {feedstock.label(train) for train in feedstock.trains}
    for label in sorted(labels):
        folder = LocalChannel(project.root / "channel").labelled(label)
        for path in sorted(folder.root.glob("*/repodata.json")):
            yield from ((label, record) for record in folder.records(path.parent.name))
    for name, declared in feedstock.destinations.items():
        for label in sorted(labels) if not declared.label else [declared.label]:
            try:
                yield from ((label, each) for each in open_place(project, name, label).records())
            except AbsentError:
                continue  # nothing was published there yet
