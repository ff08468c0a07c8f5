"""rattler's gateway, which reads channels' repodata, with a time for each question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rattler.exceptions import AuthenticationStorageError
from rattler.networking.client import Client
from rattler.repo_data.gateway import Gateway, SourceConfig

from generator.documents import limits
from generator.errors import StorageError


def open_gateway(
    *,
    cache: Path | None = None,
    action: Literal["cache-or-fetch", "force-cache-only"] = "cache-or-fetch",
    client: Client | None = None,
) -> Gateway:
    """Open a gateway; ``cache`` is where repodata is kept, rattler's own folder without one."""
    return Gateway(
        cache_dir=cache,
        default_config=SourceConfig(cache_action=action),
        client=client or open_client(),
    )


def open_client(seconds: float | None = None) -> Client:
    """Open a client whose questions end after so many seconds, the data file's without any.

    Raises StorageError: rattler's file of logins cannot be read.
    """
    whole = limits().wait.repodata if seconds is None else seconds
    with storage():
        return Client.default_client(max_retries=0, timeout=max(1, round(whole)))


@contextmanager
def storage() -> Iterator[None]:
    """Say what is wrong with the file of logins that rattler reads when a client is made.

    Raises StorageError: it cannot be read, as where HOME is a file.
    """
    try:
        yield
    except AuthenticationStorageError as error:
        raise StorageError(
            str(error).splitlines()[0],
            where="rattler's stored logins",
            next_step="mend HOME, or name the file with RATTLER_AUTH_FILE",
        ) from error
