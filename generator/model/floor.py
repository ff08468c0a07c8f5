"""The oldest system that a package runs on, where its wheel's platform tag says too little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from generator.model.closed import Closed

FloorName = Literal["__glibc", "__osx"]
#: operating system, as conda's subdirs begin -> the virtual package for its age (CEP 30)
FLOORS: Final[Mapping[str, FloorName]] = MappingProxyType({"linux": "__glibc", "osx": "__osx"})
_Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]


@dataclass(frozen=True, kw_only=True)
class RaisedFloor(Closed):
    """A system version that a package asks for because a binary of it needs more than the tag says.

    Real wheels do that: a tag is what the builder claims (PEP 600, PEP 425), and only auditwheel or
    delocate, where upstream runs them, hold the binaries against it.
    """

    package: FloorName
    #: what the recipe asks for, by the tag; "" for nothing
    stated: _Version | Literal[""]
    #: what the package asks for
    needed: _Version
    #: the packaged file that needs it
    file: str

    def raise_in(self, depends: Iterable[str]) -> tuple[str, ...]:
        """Return run dependencies (MatchSpecs) with the floor raised, or added at the end."""
        raised = f"{self.package} >={self.needed}"
        specs = tuple(depends)
        if not any(self._is_floor(spec) for spec in specs):
            return (*specs, raised)
        return tuple(raised if self._is_floor(spec) else spec for spec in specs)

    def _is_floor(self, spec: str) -> bool:
        return spec.split(" ", 1)[0] == self.package

    def __str__(self) -> str:
        stated = f"from {self.stated} " if self.stated else ""
        return f"{self.package} raised {stated}to {self.needed}, which {self.file} needs"
