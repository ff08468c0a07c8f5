"""Reads many wheels at once; what fails stands in the place of the facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed

from generator.console import Narrator
from generator.errors import ArmtorchError
from generator.upstream.facts import WheelFacts
from generator.upstream.offers import Offer
from generator.upstream.wheel_reader import WheelReader

#: threads that read wheels; more gains nothing against one server
READERS = 8
#: index and file name of an offer: two indexes may give one name to two wheels
OfferKey = tuple[str, str]
Read = Mapping[OfferKey, WheelFacts | ArmtorchError]


def key_of(offer: Offer) -> OfferKey:
    """Name an offer among those of a train."""
    return offer.index, offer.filename


def read_all(offers: Iterable[Offer], reader: WheelReader, narrator: Narrator) -> Read:
    """Read the wheels in parallel; what fails is returned in the place of the facts."""
    by_name = {key_of(offer): offer for offer in offers}
    read: dict[OfferKey, WheelFacts | ArmtorchError] = {}
    if not by_name:
        return read
    pool = ThreadPoolExecutor(max_workers=READERS)
    try:
        with narrator.task("reading wheels", total=len(by_name)) as task:
            running = {pool.submit(reader.wheel, offer): name for name, offer in by_name.items()}
            for done in as_completed(running):
                error = done.exception()
                if isinstance(error, ArmtorchError):
                    read[running[done]] = error
                else:
                    read[running[done]] = done.result()
                task.advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
    return read
