"""A package goes onto the channel after what it needs, and not without it."""

from __future__ import annotations

from dataclasses import replace

from generator.building.ordering import Order
from generator.matrix import variants
from tests.locks import Shelf, cpu_cell, feedstock

SHELF = Shelf()
FOUND = {
    each.id: each
    for each in variants(feedstock(), SHELF.lock(cpu_cell(SHELF)))
    if each.line == "9.1"
}


def of(package: str) -> list[str]:
    return [name for name, each in FOUND.items() if each.package == package]


def test_a_package_waits_for_what_it_needs_and_is_refused_without_it() -> None:
    (libtorch,), pytorch, vision = of("libtorch"), of("pytorch"), of("torchvision")
    order = Order({*of("libtorch"), *of("pytorch-common"), *pytorch, *vision})
    assert order.verdict(FOUND[libtorch]) == "place"
    assert order.verdict(FOUND[pytorch[0]]) == "wait"
    order.settle(FOUND[of("pytorch-common")[0]], failed=False)
    assert order.verdict(FOUND[pytorch[0]]) == "wait"
    order.settle(FOUND[libtorch], failed=False)
    assert order.verdict(FOUND[pytorch[0]]) == "place"
    order.settle(FOUND[pytorch[0]], failed=True)
    (own,) = [name for name in vision if FOUND[name].python == FOUND[pytorch[0]].python]
    assert order.verdict(FOUND[own]) == "refuse"
    assert order.lacking(FOUND[own]) == [pytorch[0]]


def test_a_package_for_any_python_goes_with_the_first_of_them() -> None:
    pytorch = of("pytorch")
    anywhere = replace(FOUND[of("torchaudio")[0]], python=None, depends=tuple(pytorch))
    order = Order(set(pytorch))
    order.settle(FOUND[pytorch[0]], failed=True)
    assert order.verdict(anywhere) == "wait"
    order.settle(FOUND[pytorch[1]], failed=False)
    assert order.verdict(anywhere) == "place"


def test_what_is_on_the_channel_is_there() -> None:
    """Other jobs of a CI made it, or an earlier run."""
    pytorch = FOUND[of("pytorch")[0]]
    assert Order({pytorch.id}).verdict(pytorch) == "place"
    assert Order({pytorch.id}, failed=set(pytorch.depends)).verdict(pytorch) == "refuse"
