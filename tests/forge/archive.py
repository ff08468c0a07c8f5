"""The forge's packages: as `armtorch base` writes its own, with a time of their own."""

from dataclasses import dataclass
from pathlib import Path

from generator.debian import archive

_LEVEL = 1


@dataclass(frozen=True, kw_only=True)
class Package(archive.Package):
    """A conda package whose files lie staged under `tree` (none at all when it is None)."""

    timestamp: int = 1_700_000_000_000
    #: where it is from, for a person who looks into it
    source: str = ""

    def __post_init__(self) -> None:
        about = {"summary": "made for armtorch's tests", "extra": {"source": self.source}}
        object.__setattr__(self, "about", about)


def write(package: Package, channel: Path) -> Path:
    """Write the package into its subdir of a channel folder."""
    return archive.write(package, channel / package.subdir, _LEVEL)
