"""What of a publication could not be installed: its own channel would lack what it needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from generator.channel.destinations import Address
from generator.channel.repodata import Record, named
from generator.errors import SolveError


def lacking(
    coming: Iterable[Record], there: Iterable[Record], own: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return what packages need that the channel will not have, by ``<subdir>/<file name>``.

    A package that needs one which cannot be installed itself lacks that one, too. Records are
    enough: nothing is fetched, and base channels are not asked.

    Args:
        coming: what is to be published.
        there: what the channel has.
        own: names of packages that no base channel has in this form.

    Raises:
        IntegrityError: a dependency is no match spec.

    """
    by_name: defaultdict[str, list[Record]] = defaultdict(list)
    left = list(coming)
    for record in (*there, *left):
        by_name[record.name].append(record)
    found: dict[str, tuple[str, ...]] = {}
    while True:
        bad = {record.key: unmet for record in left if (unmet := (*_unmet(record, by_name, own),))}
        if not bad:
            return found
        found |= bad
        for record in left:
            if record.key in bad:
                by_name[record.name].remove(record)
        left = [record for record in left if record.key not in bad]


def _unmet(record: Record, by_name: dict[str, list[Record]], own: Collection[str]) -> Iterator[str]:
    for name in sorted({named(spec) for spec in record.depends} & set(own)):
        for spec in record.needs(name):
            if not any(
                other.fits(spec)
                for other in by_name.get(name, ())
                if "noarch" in {record.subdir, other.subdir} or record.subdir == other.subdir
            ):
                yield str(spec)


def refuse_lacking(found: dict[str, tuple[str, ...]], destination: Address) -> None:
    """Raise SolveError where a package could not be installed from the destination."""
    if not found:
        return
    shown = "; ".join(f"{key} needs {', '.join(specs)}" for key, specs in list(found.items())[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    raise SolveError(
        f"what they need would not be on the channel: {shown}{more}",
        where=str(destination),
        next_step="build it (armtorch build), and publish it before or with them: GLOBs that name "
        "it, too, or none",
    )
