"""The rows ``sources:`` of feedstock.yaml: wheels that ``armtorch compile`` makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from generator.model.closed import Documented
from generator.model.names import PackageText, Sha256

#: what a row is called; a part of the name of its folder
RowName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
#: a file or folder beside others, and no way out of them
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~-]*$")]
#: a PEP 440 release and local version: both stand in names of files
ReleaseText = Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]
Local = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]
#: of Debian's, as the purl type `deb` writes it
SourcePurl = Annotated[
    str, Field(pattern=r"^pkg:deb/debian/[a-z0-9.+-]+@[A-Za-z0-9.+~:%-]+\?arch=source$")
]
#: of CMake or of the environment; a value is one argument, whatever is in it
Setting = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


@dataclass(frozen=True, kw_only=True)
class Source(Documented):
    """One project whose wheel is made from source."""

    project: PackageText
    """The name of the wheel."""
    version: ReleaseText
    """Upstream's version, 2.6.0."""
    local: Local
    """Local version of the wheel, so that nobody takes it for upstream's: armtorch1."""
    subdir: Literal["linux-armv7l"]
    """What it is made for; generator/data/compiling.yaml has a toolchain for each."""
    python: Annotated[str, Field(pattern=r"^3\.\d+$")]
    """The suite's own Python, which the extension modules are for."""
    suite: PlainName
    """The Debian release that sources, compiler and libraries are from; never two of them."""
    source: SourcePurl
    """The source package, pkg:deb/debian/pytorch@2.6.0%2Bdfsg-7?arch=source."""
    files: Annotated[dict[PlainName, Sha256], Field(min_length=1)]
    """Its files that are used: upstream's archive first, then the one with Debian's patches."""
    without: tuple[PlainName, ...] = ()
    """Patches of Debian's that are not wanted."""
    patches: PlainName | None = None
    """Folder below sources/ with patches of one's own, applied in the order of their names."""
    tools: tuple[PlainName, ...] = ()
    """Packages that run, or hold for every architecture: protobuf-compiler, pybind11-dev."""
    needs: tuple[PlainName, ...] = ()
    """Development packages of the target's architecture."""
    aside: tuple[PlainName, ...] = ()
    """Packages of the target's that cannot stand beside the machine's own; they lie in /target."""
    upon: RowName | None = None
    """The row whose wheel this one is compiled against: torch. Its setup.py asks torch where the
    headers are, and is run by the target's own Python under emulation."""
    targets: tuple[PlainName, ...] = ()
    """What can be built alone, in this order: c10, torch_cpu, torch_python. `wheel` comes last."""
    epoch: Annotated[int, Field(gt=0)]
    """SOURCE_DATE_EPOCH: the day of the release, for whatever writes a date."""
    environment: dict[Setting, str] = field(default_factory=dict)
    """Variables that the build reads."""
    flags: dict[Setting, str] = field(default_factory=dict)
    """What CMake is told: USE_DISTRIBUTED: "OFF"."""

    @property
    def full_version(self) -> str:
        """The version of the wheel."""
        return f"{self.version}+{self.local}"
