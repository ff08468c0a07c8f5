"""The shape of feedstock.yaml. Its JSON Schema is generated from these dataclasses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from generator.feedstock.sources import PlainName, RowName, Source
from generator.model.cell import TrainName
from generator.model.closed import Documented
from generator.model.fields import PythonsText
from generator.model.names import PackageText, SpecifierText
from generator.model.python_build import Pythons
from generator.model.retention import Retention
from generator.model.wheel import ProjectName

SubdirName = Literal["linux-aarch64", "osx-arm64", "win-arm64", "linux-armv7l"]
#: ``cuda`` stands for whatever CUDA line the wheel turns out to be of, ``cuda130`` for one line,
#: ``cuda*`` for each that upstream still makes
AcceleratorWish = Annotated[str, Field(pattern=r"^(cpu|cuda|cuda\*|cuda\d{3}(-tegra)?)$")]
#: what the wheels of an index are for; ``cuda`` and ``cuda-tegra``: the wheel says which line
IndexAccelerator = Annotated[str, Field(pattern=r"^(cpu|cuda(\d{3})?(-tegra)?)$")]
#: a PEP 440 local version, without the plus
LocalVersion = Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")]
#: a folder of the channel
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
#: which releases of a train become lines
Keep = Literal["newest", "newest-complete"]


#: lines that armtorch makes itself
_TAKEN = ("metapackages", "nightly", "rc")
#: a name on a host, a URL or a path: it goes into YAML, JSON and command lines
MaintainerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]
ChannelName = Annotated[str, Field(pattern=r"^[^\s\"'\\${}<>|]+$")]

#: as CEP 31 wants it: no login, no query
RepositoryUrl = Annotated[str, Field(pattern=r"^https?://[^\s@?#]+$")]


def _folder_name(text: str) -> str:
    if re.fullmatch(r"[a-z][a-z0-9._-]{0,39}", text) is None or text in _TAKEN:
        msg = (
            f"{text!r} cannot be the name of a folder below recipes/; begin with a letter, "
            f"use a-z, 0-9, dot and dash, and none of {', '.join(_TAKEN)}"
        )
        raise ValueError(msg)
    return text


@dataclass(frozen=True, kw_only=True)
class IndexSource(Documented):
    """Where wheels are offered."""

    kind: Literal["pip", "simple", "pytorch", "devpi", "folder"]
    """`pip`: whatever pip on this machine is configured to use. `simple`: a PEP 503/691 URL.
    `pytorch`: a sub-index of download.pytorch.org, such as https://download.pytorch.org/whl/cu130;
    only wheels with its own local version are taken; a url that ends in whl/cu* stands for every
    CUDA line there, whl-cu* being its name. `devpi`: a devpi index, such as NVIDIA's for
    Jetson. `folder`: a folder of wheels. docs/indexes.md has the traps of each."""
    url: str | None = None
    """The base URL of an index on a server, or the path of a `folder`."""
    accelerator: IndexAccelerator | None = None
    """What its wheels are for, where their names do not say it: `cpu`, `cuda130`,
    `cuda126-tegra`; `cuda` or `cuda-tegra` where the wheel says which line. What the wheel itself
    says must agree."""
    local_versions: tuple[LocalVersion, ...] = ()
    """The only local versions that are taken, without the plus: [cpu, df56172]. Empty: for
    `pytorch` the one its url ends in, else every one that names an accelerator."""
    glibc: Annotated[str, Field(pattern=r"^2\.\d{2}$")] | None = None
    """The glibc that its Linux wheels need at least, "2.35", where their platform tags say none
    (linux_aarch64) or too little. A package whose binaries need more than that asks for more."""
    subdirs: tuple[SubdirName, ...] = ()
    """The subdirs that it can have wheels for; when it does not answer, no others are concerned.
    Empty: for `pytorch` those that upstream serves there, else all."""


@dataclass(frozen=True, kw_only=True)
class TrainPolicy(Documented):
    """Which releases of one train become lines."""

    keep: tuple[Keep, ...] = ("newest", "newest-complete")
    """Per subdir and accelerator: the newest release that has a torch wheel, and the newest one
    whose torchvision and torchaudio can be imported beside it."""
    minors: Annotated[int, Field(ge=0, le=20)] = 0
    """Besides, the newest patch of so many newest torch minors."""
    releases: Annotated[int, Field(ge=0, le=60)] = 0
    """Besides, so many newest releases, whatever their minor: for nightlies. Upstream keeps 60."""
    indexes: tuple[str, ...] = ("pypi",)
    """Names of the indexes to look in, the first that has a release wins."""
    label: Label | None = None
    """Sub-channel that its packages go to, `label/<label>` in the channel's folder; without one the
    train's name, for stable the channel itself."""


@dataclass(frozen=True, kw_only=True)
class Line(Documented):
    """A line that is kept beside the train's own, for one torch series."""

    name: Annotated[str, AfterValidator(_folder_name)]
    """Name of the folder under recipes/, for example legacy-2.8."""
    torch: SpecifierText
    """PEP 440 specifier of the torch versions, for example ==2.8.*; the newest one is taken."""
    train: TrainName = "stable"
    subdirs: tuple[SubdirName, ...]
    accelerators: tuple[AcceleratorWish, ...]
    pythons: PythonsText
    """Python builds of the line, or `all`, as below; the feedstock's own are not used for it."""


@dataclass(frozen=True, kw_only=True)
class DebianBase(Documented):
    """A base of the channel's own, made of one release of Debian's, never of two."""

    suite: PlainName
    """The release, trixie; generator/data/debian.yaml has the packages."""
    architecture: PlainName
    """Debian's name of the machine: armhf."""


@dataclass(frozen=True, kw_only=True)
class SubdirWish(Documented):
    """What a subdir is built for."""

    accelerators: tuple[AcceleratorWish, ...]
    """`cpu`; `cuda` for the newest CUDA there is, `cuda130` for one line, `cuda*` for every line
    that one of torch's three newest minors is there for; `cuda126-tegra` for Jetson."""
    base: Annotated[tuple[ChannelName, ...], Field(min_length=1)] = ("conda-forge",)
    """Channels that python, numpy, CUDA ... come from, in order of priority."""


@dataclass(frozen=True, kw_only=True)
class Policies(Documented):
    """Decisions that are the channel owner's to take."""

    compression_level: Annotated[int, Field(ge=1, le=22)] = 9
    """zstd level of packages: 9 takes seconds."""
    published_level: Annotated[int, Field(ge=1, le=22)] = 19
    """zstd level of the releases that a CI's jobs make: 19 takes minutes for each libtorch, and
    everybody downloads a seventh less. Clients unpack it as fast, and need 8 MiB for it."""
    maximum_wheel_bytes: Annotated[int, Field(gt=0)] = 3_000_000_000
    """A larger wheel is refused before it is downloaded."""
    maximum_unpacked_ratio: Annotated[float, Field(gt=1)] = 20.0
    """A wheel that declares more than this times its size unpacked is refused (zip bomb)."""


@dataclass(frozen=True, kw_only=True)
class Destination(Documented):
    """Where `armtorch publish --to NAME` puts packages, and how much may lie there."""

    to: ChannelName
    """A folder, file://, s3://bucket/path, https://prefix.dev/CHANNEL, https://anaconda.org/OWNER,
    or KIND+https://server/CHANNEL for prefix, anaconda, quetz and artifactory."""
    label: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9._-]*)?$")] = ""
    """A label at anaconda.org; elsewhere a channel of its own below or beside `to`."""
    budget: Annotated[int, Field(gt=0)] | None = None
    """Bytes that may lie there; publish refuses beforehand what would go over it. Without it, the
    limit that the host is known for."""
    retention: Retention = field(default_factory=Retention)
    """What `armtorch retire` may take away."""


@dataclass(frozen=True, kw_only=True)
class Feedstock(Documented):
    """feedstock.yaml: what this channel is to offer."""

    channel: ChannelName
    """Name or URL of the channel that commands in messages and pages name."""
    maintainers: Annotated[tuple[MaintainerName, ...], Field(min_length=1)]
    """GitHub names for the recipes' extra.recipe-maintainers."""
    repository: RepositoryUrl | None = None
    """Where people find this feedstock, for example https://github.com/OWNER/NAME. CI's packages
    state it (CEP 31); it stays what it is when the repository moves, so they stay the same, too."""
    indexes: dict[str, IndexSource]
    """Where wheels are looked for, by the names used below and in the lock."""
    trains: dict[TrainName, TrainPolicy]
    """stable, rc and nightly, each with the releases it keeps."""
    subdirs: dict[SubdirName, SubdirWish]
    """What is built per conda subdir."""
    pythons: PythonsText = field(default_factory=Pythons)
    """Python builds, for example ["3.12", "3.14t"], in quotes; `all` takes every one that
    upstream serves, and ["!3.15t"] all of them but that."""
    packages: tuple[ProjectName, ...] = ("torch", "torchvision", "torchaudio")
    """Upstream projects; torch cannot be left out."""
    fill: tuple[PackageText, ...] = ()
    """Upstream projects that torch needs and the base channels lack in that version: they are
    repacked, too. `armtorch matrix --against-base` shows what is lacking."""
    companions: tuple[PackageText, ...] = ()
    """Other upstream projects that are made for each torch they go with: bitsandbytes, and what
    data/packages.yaml beside feedstock.yaml has rows for."""
    sources: dict[RowName, Source] = field(default_factory=dict)
    """Wheels that nobody serves, made by `armtorch compile` into a folder of wheels, which an index
    of the kind `folder` names. docs/compiling.md has the rows."""
    debian: dict[SubdirName, DebianBase] = field(default_factory=dict)
    """Subdirs that no base channel has a python for: `armtorch base` puts one, with numpy and the
    rest, onto the channel. docs/armv7l.md"""
    lines: tuple[Line, ...] = ()
    """Lines kept beside the trains' own."""
    armtorch: Literal["pinned", "checkout"] = "pinned"
    """Where workflows get armtorch from. `pinned`: .ci/armtorch/, which `armtorch init` writes.
    `checkout`: the repository, which is armtorch's own or a fork of it."""
    carry_armtorch: bool = True
    """Whether armtorch itself is on the channel, for `conda armtorch why` and `pixi armtorch`."""
    ci: Literal["github", "gitlab"] = "github"
    """Whose CI the workflows are for: GitHub Actions, or GitLab's."""
    policies: Policies = field(default_factory=Policies)
    destinations: dict[str, Destination] = field(default_factory=dict)
    """Where the channel is published, by the names that `--to` takes."""

    def label(self, train: TrainName) -> str:
        """Return the sub-channel that a train's packages go to; "" for the channel."""
        policy = self.trains.get(train)
        if policy is not None and policy.label is not None:
            return policy.label
        return "" if train == "stable" else train
