"""rattler's gateway, which reads channels' repodata, with a time for each question."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rattler.networking.client import Client
from rattler.repo_data.gateway import Gateway, SourceConfig

from generator.documents import limits


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
    """Open a client whose questions end after so many seconds, the data file's without any."""
    whole = limits().wait.repodata if seconds is None else seconds
    return Client.default_client(max_retries=0, timeout=max(1, round(whole)))
