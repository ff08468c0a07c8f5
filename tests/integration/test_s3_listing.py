"""A listing that fails leaves nothing behind that belongs to one thread."""

import gc
import threading

import pytest

from generator.channel.s3 import S3Store
from generator.channel.s3_access import s3_access
from generator.errors import DeclinedError
from tests import servers


def test_a_failed_listing_can_be_dropped_by_any_thread():
    """opendal's iterator raises where another thread drops it; a traceback must not hold it."""
    with servers.s3() as bucket:
        store = S3Store("absent", "", s3_access("absent", bucket.environment))
        with pytest.raises(DeclinedError, match="NoSuchBucket") as caught:
            store.packages()
    held = [caught.value]
    del caught

    def drop() -> None:
        held.clear()
        gc.collect()

    other = threading.Thread(target=drop)
    other.start()
    other.join()
    assert not held
