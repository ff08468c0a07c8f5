"""A lock with digests computed anew: whatever refers to another part of it has to agree with it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from generator.errors import LockError
from generator.lock import parse_lock, read_lock
from generator.lock.consistency import inconsistencies
from generator.lock.document import ADAPTER, digest_of, to_document
from generator.model import Lock, Sharing
from tests.counts import count
from tests.own_feedstock import LOCK

_SUMS = "held against the bytes where they are fetched, unpacked or verified"
_SHOWN = "shown to people"
_OWN = "what upstream says, in a wheel with this RECORD"
#: what a lock states on its own, and nothing else in it tells; the rest must agree
STATED = {
    "cells.line": "a name, of a place that nothing else has",
    "cells.wheels.index": "a name of feedstock.yaml",
    "cells.wheels.metadata_origin": _SHOWN,
    "cells.wheels.size": _SUMS,
    "cells.wheels.sha256": _SUMS,
    "cells.wheels.record": _SUMS,
    "cells.wheels.metadata": _SUMS,  # of another wheel of the same version
    "cells.wheels.console_scripts": _OWN,
    "cells.sharing.members": _SHOWN,
    "cells.sharing.bytes": _SHOWN,
    "cells.sharing.digest": "of RECORDs, held against them by build.py and `verify`",
    "cells.sharing.reference": "another Python of its group, with the same shared bytes",
    "cells.sharing.per_python": "as the digest",
    "cells.sharing.equivalent.normalised_sha256": "as the digest",
    "cells.sharing.equivalent.rule": "as the digest",
    "cells.sharing.equivalent.member": "as the digest",
    "cells.apart.members": _SHOWN,
    "cells.apart.bytes": _SHOWN,
    "cells.apart.digest": "as that of sharing",
    "cells.apart.per_python": "as the digest",
    "cells.libraries": "file names, looked for by the audit",
    "cells.bundled.*": "member paths, held against RECORD by the unpacker",
    "cells.absent.package": _SHOWN,
    "cells.absent.python": _SHOWN,
    "cells.absent.reason": _SHOWN,
    "cells.absent.detail": _SHOWN,
    "metadata.*.summary": _OWN,
    "metadata.*.requires_python": _OWN,
    "metadata.*.requires_dist": _OWN,
    "metadata.*.license": _OWN,
    "metadata.*.license_files": _OWN,
    "metadata.*.home": _OWN,
    "builds.*.digest": "held against the recipe by `render --check`",
    "builds.*.number": "the same",
    "absent.subdir": "of what there is not",
    "absent.train": "the same",
    "absent.accelerator": "the same",
    "absent.detail": _SHOWN,
}
#: values of the right form that stand nowhere in the lock
_NEW = {
    "python": "3.99",
    "pythons": "3.99",
    "reference": "3.99",
    "project": "networkx",
    "subdir": "linux-ppc64le",
    "train": "nightly",
    "accelerator": "cuda999",
    "torch": "2.99.0",
    "platforms": "manylinux_2_39_aarch64",
    "abi3": True,
}


def _lock() -> Lock:
    """The tests' lock with a Python that shares nothing with the others."""
    lock = read_lock(LOCK)
    cells = list(lock.cells)
    of = next(n for n, cell in enumerate(cells) if len(cell.pythons()) > 5)
    sharing = cells[of].sharing
    assert sharing is not None
    last = str(cells[of].pythons()[-1])
    own = Sharing(
        reference=last,
        members=sharing.members,
        bytes=sharing.bytes,
        digest="0" * 64,
        per_python=sharing.per_python,
        pythons=(last,),
    )
    cells[of] = replace(cells[of], apart=(own,))
    return replace(lock, cells=tuple(cells))


DOCUMENT = to_document(_lock())
_KEYED = {"metadata", "builds", "cells.bundled", "silent"}


def _leaves(node: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where each value stands: its kind of place, what holds it, its key there."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        name = place if isinstance(node, list) else "*" if place in _KEYED else str(key)
        inner = place if isinstance(node, list) else f"{place}.{name}".lstrip(".")
        if isinstance(node[key], dict | list):
            yield from _leaves(node[key], inner)
        else:
            yield inner, node, key


def _places() -> dict[str, list[Any]]:
    found: dict[str, dict[str, Any]] = {}
    for place, node, key in _leaves({k: v for k, v in DOCUMENT.items() if k not in _HEAD}):
        found.setdefault(place, {})[repr(node[key])] = node[key]
    return {place: list(values.values()) for place, values in found.items()}


_HEAD = {"schema", "digest"}
PLACES = _places()


def _refused(content: dict[str, Any]) -> bool:
    """Whether a lock is refused, as `parse_lock` does it for the text."""
    try:
        return any(inconsistencies(ADAPTER.validate_python(content)))
    except ValidationError:
        return True


def test_a_sound_one_is_read_and_one_that_does_not_agree_is_not():
    content = {k: v for k, v in copy.deepcopy(DOCUMENT).items() if k not in _HEAD}
    text = json.dumps({"schema": 1, "digest": digest_of(content), **content})
    assert parse_lock(text, where="lock").cells
    content["cells"][0]["wheels"][1]["python"] = "3.99"
    text = json.dumps({"schema": 1, "digest": digest_of(content), **content})
    with pytest.raises(LockError, match=r"stands for Python 3\.99"):
        parse_lock(text, where="lock")


@pytest.mark.parametrize("place", sorted(PLACES.keys() - STATED.keys()))
def test_what_refers_to_another_part_agrees_with_it(place):
    chance = random.Random(place)
    values = [*PLACES[place], *filter(None, [_NEW.get(place.rpartition(".")[2])])]
    tried = 0
    for _ in range(count("swaps")):
        content = copy.deepcopy({k: v for k, v in DOCUMENT.items() if k not in _HEAD})
        there = [(node, key) for name, node, key in _leaves(content) if name == place]
        node, key = chance.choice(there)
        others = [value for value in values if value != node[key]]
        if not others:
            continue
        was, node[key] = node[key], chance.choice(others)
        tried += 1
        assert _refused(content), f"{place}: {was!r} may be {node[key]!r}"
    assert tried or len(PLACES[place]) == 1


def test_every_reason_is_for_a_place():
    assert sorted(STATED.keys() - PLACES.keys()) == []
