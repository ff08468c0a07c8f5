"""What pip on this machine is configured to use (decision D1: location is configuration).

pip itself is asked, so that its files, their order and its environment variables count exactly as
they do for ``pip install`` (https://pip.pypa.io/en/stable/topics/configuration/).
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from pypi_simple import PYPI_SIMPLE_ENDPOINT

from generator.errors import FeedstockError

#: environment beats command sections, which beat [global]; later ones win
_SECTIONS = ("global", "install", ":env:")


@dataclass(frozen=True, kw_only=True)
class PipConfiguration:
    """The settings of pip that say where packages are and how to get there."""

    #: index-url and then extra-index-url, in the order they are asked
    indexes: tuple[str, ...]
    #: CA bundle
    cert: str | None = None
    proxy: str | None = None


def read_pip_configuration(environment: Mapping[str, str]) -> PipConfiguration:
    """Ask pip for its configuration; ``environment`` is what pip would see.

    Raises FeedstockError: pip is told to use no index at all (``no-index``).
    """
    return parse_pip_configuration(_config_list(environment))


def parse_pip_configuration(listing: str) -> PipConfiguration:
    """Read the output of ``pip config list``.

    Raises FeedstockError: see :func:`read_pip_configuration`.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in _SECTIONS}
    for line in listing.splitlines():
        key, equals, value = line.partition("=")
        section, dot, option = key.rpartition(".")
        if equals and dot and section in found:
            found[section][option] = str(ast.literal_eval(value))
    settings: dict[str, str] = {}
    for name in _SECTIONS:
        settings.update(found[name])
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        raise FeedstockError(
            "pip is configured to use no index (no-index)",
            where="pip config list",
            next_step="unset no-index, or declare an index of kind simple or folder",
        )
    main = settings.get("index-url") or PYPI_SIMPLE_ENDPOINT
    return PipConfiguration(
        indexes=(main, *settings.get("extra-index-url", "").split()),
        cert=settings.get("cert") or None,
        proxy=settings.get("proxy") or None,
    )


def _config_list(environment: Mapping[str, str]) -> str:
    """Return what ``pip config list`` prints; where there is no pip, what its variables say."""
    for command in ([sys.executable, "-m", "pip"], [shutil.which("pip") or ""]):
        if not command[0]:
            continue
        try:
            done = subprocess.run(
                [*command, "config", "list"],
                env=dict(environment),
                check=False,
                capture_output=True,
                encoding="utf-8",
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return done.stdout
    return "\n".join(
        f":env:.{key.removeprefix('PIP_').lower().replace('_', '-')}={value!r}"
        for key, value in environment.items()
        if key.startswith("PIP_")
    )
