"""What a build computes on, as people, feedstock.yaml and conda-forge's variant keys name it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering
from typing import Literal

ArmVariant = Literal["sbsa", "tegra"]

#: conda-forge's and the pytorch channel's build strings
_BUILD = re.compile(r"(?:^|_)(?:cuda(?P<major>\d{2})\.?(?P<minor>\d)|(?P<cpu>cpu))(?=_|$|\D)")
_CUDA = re.compile(r"cuda(?P<major>\d{2})(?P<minor>\d)(?:-(?P<arm>tegra))?")
#: upstream's labels of accelerators (pytorch/test-infra, generate_binary_build_matrix.py)
_LABEL = re.compile(r"cu(\d{3})")
#: libraries that make a torch a CUDA build, per platform
CUDA_LIBRARIES = frozenset({"libtorch_cuda.so", "torch_cuda.dll"})
#: the CUDA major from which one build serves server boards (sbsa) and Jetson (JetPack 7)
#: (cuda-feedstock, recipe/doc/recipe_guide.md, "Building for ARM Tegra devices")
_ONE_ARM = 13
#: conda-forge adds 200 to the build number of CUDA builds, so that solvers prefer them
#: (pytorch-cpu-feedstock, recipe/meta.yaml)
CUDA_BUILD_OFFSET = 200


@total_ordering
@dataclass(frozen=True)
class Accelerator:
    """``cpu``, or one CUDA line, for server (sbsa) or Jetson (tegra) boards.

    >>> Accelerator.parse("cuda130").cuda_compiler_version
    '13.0'
    """

    cuda: tuple[int, int] | None = None
    tegra: bool = False

    @classmethod
    def parse(cls, text: str) -> Accelerator:
        """Read ``cpu``, ``cuda130`` or ``cuda126-tegra``; raise ValueError for anything else."""
        if text == "cpu":
            return cls()
        if (match := _CUDA.fullmatch(text)) is None:
            msg = f"{text!r} is not an accelerator; write cpu, cuda, cuda130 or cuda126-tegra"
            raise ValueError(msg)
        major, minor = int(match["major"]), int(match["minor"])
        if match["arm"] and major >= _ONE_ARM:
            msg = (
                f"from CUDA {_ONE_ARM} on Jetson takes the server boards' build: cuda{major}{minor}"
            )
            raise ValueError(msg)
        return cls((major, minor), bool(match["arm"]))

    def __lt__(self, other: Accelerator) -> bool:
        # cpu has no CUDA version, and comes first
        return (self.cuda or (0, 0), self.tegra) < (other.cuda or (0, 0), other.tegra)

    def __str__(self) -> str:
        return self.build_prefix + ("-tegra" if self.tegra else "")

    @property
    def build_prefix(self) -> str:
        """The head of conda-forge's build strings: ``cpu`` or ``cuda130``."""
        return "cpu" if self.cuda is None else f"cuda{self.cuda[0]}{self.cuda[1]}"

    @property
    def cuda_compiler_version(self) -> str:
        """conda-forge's variant key of that name: ``None`` or ``13.0``."""
        return "None" if self.cuda is None else f"{self.cuda[0]}.{self.cuda[1]}"

    @property
    def driver(self) -> tuple[str, ...]:
        """The virtual packages of a machine it is meant for, beside its subdir's (CEP 30)."""
        return () if self.cuda is None else (f"__cuda={self.cuda_compiler_version}",)

    @property
    def arm_variant_type(self) -> str:
        """conda-forge's variant key of that name: ``None``, ``sbsa`` or ``tegra``."""
        if self.cuda is None:
            return "None"
        return "tegra" if self.tegra else "sbsa"

    @property
    def board_spec(self) -> str:
        """What a command asks for beside the build, so that it is of the right kind of ARM machine.

        CUDA 12's builds for servers and for Jetson have the same build strings.
        """
        if self.cuda is None or self.cuda[0] >= _ONE_ARM:
            return ""
        return f"arm-variant=*={self.arm_variant_type}"

    def runs_on_jetson(self, *, sbsa: bool) -> bool:
        """Whether it has device code for a Jetson; `sbsa` where that takes servers' builds.

        From CUDA 13 on one build serves both; an older one for servers has none for Jetson.
        """
        if self.cuda is None:
            return True
        return self.cuda[0] >= _ONE_ARM if sbsa else self.tegra

    @property
    def build_offset(self) -> int:
        """What is added to the build number, so that solvers prefer CUDA where it can run."""
        return 0 if self.cuda is None else CUDA_BUILD_OFFSET


def accelerator_of(build: str, depends: Iterable[str]) -> str:
    """Return the accelerator of a package as cells call it: ``cpu``, ``cuda130``, ``...-tegra``.

    A build string that names neither is the one build of its subdir (macOS): ``cpu``.

    >>> accelerator_of("cuda126_generic_py312_h1_200", ["arm-variant * tegra"])
    'cuda126-tegra'
    """
    match = _BUILD.search(build)
    if match is None or match["cpu"]:
        return "cpu"
    tegra = any(re.match(r"arm-variant \S+ tegra", each) for each in depends)
    return f"cuda{match['major']}{match['minor']}" + ("-tegra" if tegra else "")


def accelerator_of_label(label: str) -> str | None:
    """Read upstream's ``cpu`` or ``cu130``; None for everything else.

    >>> accelerator_of_label("cu130")
    'cuda130'
    """
    if label == "cpu":
        return label
    match = _LABEL.fullmatch(label)
    return f"cuda{match[1]}" if match else None
