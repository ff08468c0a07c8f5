"""A file that a base is made of: identity, never location (decision D1)."""

from __future__ import annotations

from dataclasses import dataclass

from generator.model.closed import Closed
from generator.model.names import Sha256, ShownText, Size


@dataclass(frozen=True, kw_only=True)
class Pin(Closed):
    """A package of Debian's, or a wheel."""

    #: ``pkg:deb/debian/libffi8@3.4.8-2?arch=armhf&distro=trixie``
    purl: ShownText
    sha256: Sha256
    #: bytes
    size: Size
