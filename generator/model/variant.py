"""One package of a cell for one Python: what is rendered, built, tested and selected."""

from __future__ import annotations

from dataclasses import dataclass

from generator.model.accelerator import Accelerator
from generator.model.cell import TrainName
from generator.model.python_build import PythonBuild
from generator.model.wheel import Wheel, serves


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A conda package to be: one line, package, subdir, accelerator and, where it has one, Python.

    Its id is ``<line>/<package>/<stem>``, which is what commands select with globs.
    """

    line: str
    train: TrainName
    package: str
    #: ``noarch`` for metapackages that are the same everywhere
    subdir: str
    accelerator: Accelerator
    python: PythonBuild | None
    #: the Python whose wheel its libtorch is made of, where not all Pythons of the line share one
    group: PythonBuild | None = None
    #: of the stable ABI: for ``python`` and all later ones with a GIL
    abi3: bool = False
    #: package version
    version: str
    #: full build number, the CUDA offset included
    build_number: int
    #: D8 digest of its inputs, as the lock has it
    digest: str
    #: conda-smithy's file name without ``.yaml``
    stem: str
    #: what conda-smithy would write into the variant config: key -> values
    config: dict[str, tuple[str, ...]]
    #: the variant config that it shares with the other packages of its line, as the outputs of one
    #: recipe would; "" for one of its own
    shared_config: str = ""
    #: the upstream wheels its recipe unpacks
    wheels: tuple[Wheel, ...] = ()
    #: the projects of PyPI that it installs (``purls`` of rattler's PackageRecord): pixi takes from
    #: there what a conda package is on PyPI
    purls: tuple[str, ...] = ()
    #: ids of the variants that must be on the channel before this one is tested
    depends: tuple[str, ...] = ()

    def serves(self, python: PythonBuild) -> bool:
        """Whether it can be part of an environment with ``python``."""
        return serves(self.python, python, abi3=self.abi3)

    @property
    def id(self) -> str:
        """``2.10/pytorch/linux_aarch64_python3.12.____cpython``."""
        return f"{self.line}/{self.package}/{self.stem}"

    @property
    def cell(self) -> str:
        """The name of its cell, ``<line>/<subdir>/<accelerator>``."""
        return f"{self.line}/{self.subdir}/{self.accelerator}"

    @property
    def recipe_path(self) -> str:
        """The recipe file, relative to the repository, with forward slashes."""
        return f"recipes/{self.line}/{self.package}/recipe.yaml"

    @property
    def config_path(self) -> str:
        """The variant config, relative to the repository, with forward slashes."""
        name = self.shared_config or f"{self.package}/{self.stem}"
        return f".ci_support/{self.line}/{name}.yaml"
