"""What the forge holds, read from packages.yaml into types that refuse what they do not know."""

from pathlib import Path
from typing import Annotated, Final, Literal

from packaging.utils import parse_wheel_filename
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from ruamel.yaml import YAML

from tests.forge.errors import ForgeError

SUBDIR: Final = "linux-aarch64"
NOARCH: Final = "noarch"
_DECLARATION = Path(__file__).with_name("packages.yaml")
_CUDA = Path(__file__).with_name("cuda.yaml")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Pin = Literal["x", "x.x", "x.x.x"]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SysrootRow(_Row):
    """The debs that hold the dynamic loader and the C library."""

    suite: str
    debs: tuple[str, ...]


class PythonRow(_Row):
    """One interpreter; `abi` is python_abi's tag, `build` the form of its build string."""

    version: str
    suite: str
    debs: tuple[str, ...]
    abi: str
    build: str
    depends: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The standard library's folder below the prefix."""
        return f"lib/python{self.version}"

    @property
    def site_packages(self) -> str:
        """CEP 17's python_site_packages_path."""
        return f"{self.folder}/site-packages"


class LibraryRow(_Row):
    """Shared libraries out of debs or out of a wheel that bundles them."""

    conda: str
    files: tuple[str, ...]
    #: of the debs, below their folder of headers
    headers: tuple[str, ...] = ()
    suite: str | None = None
    debs: tuple[str, ...] = ()
    wheel: str | None = None
    version: str | None = None
    build: str = "h{hash}_0"
    pin: Pin | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> "LibraryRow":
        if (self.wheel is None) == (self.suite is None or not self.debs):
            msg = f"{self.conda}: name a suite with debs, or a wheel"
            raise ValueError(msg)
        if (self.wheel is None) != (self.version is None):
            msg = f"{self.conda}: a version stands beside a wheel and only there"
            raise ValueError(msg)
        return self


class MetaRow(_Row):
    """A package without upstream files; `links` maps a path to its relative target."""

    conda: str
    version: str
    build: str
    number: int = 0
    subdir: Literal["linux-aarch64", "noarch"] = NOARCH
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)


class WheelRow(_Row):
    """One wheel, pinned by its bytes."""

    python: str
    file: str
    sha256: Sha256
    conda: str | None = None
    depends: tuple[str, ...] = ()
    packaged: bool = True

    @property
    def project(self) -> str:
        """The normalised name on the index."""
        return str(parse_wheel_filename(self.file)[0])

    @property
    def version(self) -> str:
        """The wheel's version."""
        return str(parse_wheel_filename(self.file)[1])

    @property
    def name(self) -> str:
        """The name on conda-forge."""
        return self.conda or self.project

    @property
    def is_pure(self) -> bool:
        """Whether any platform can use the wheel, so that it becomes a noarch package."""
        return all(tag.platform == "any" for tag in parse_wheel_filename(self.file)[3])


class CompiledRow(_Row):
    """A wheel with one module built anew against the channel's own libraries.

    `sources` are globs in the sdist `file`, `edits` a text to replace in one of the debs'
    headers, `links` the libraries' packages, `drops` globs in site-packages.
    """

    project: str
    python: str
    file: str
    sha256: Sha256
    module: str
    sources: tuple[str, ...]
    defines: tuple[str, ...]
    suite: str
    debs: tuple[str, ...]
    edits: dict[str, tuple[str, str]]
    links: tuple[str, ...]
    drops: tuple[str, ...]


class Declaration(_Row):
    """All of packages.yaml."""

    sysroot: SysrootRow
    pythons: tuple[PythonRow, ...]
    libraries: tuple[LibraryRow, ...]
    metapackages: tuple[MetaRow, ...]
    compiled: tuple[CompiledRow, ...]
    wheels: tuple[WheelRow, ...]

    def python(self, version: str) -> PythonRow:
        """The interpreter of one minor version."""
        for row in self.pythons:
            if row.version == version:
                return row
        known = ", ".join(row.version for row in self.pythons)
        msg = f"packages.yaml names Python {version}, but declares only {known}"
        raise ForgeError(msg)

    def wheel(self, project: str, python: str | None = None) -> WheelRow:
        """The wheel that another row takes its files from."""
        for row in self.wheels:
            if row.project == project and python in {None, row.python}:
                return row
        msg = f"packages.yaml takes files from {project}, but declares no wheel of it"
        raise ForgeError(msg)

    def debs_by_suite(self) -> dict[str, set[str]]:
        """Everything to fetch from Debian."""
        wanted: dict[str, set[str]] = {}
        rows: list[SysrootRow | PythonRow | LibraryRow]
        rows = [self.sysroot, *self.pythons, *self.libraries]
        for row in rows:
            if row.suite:
                wanted.setdefault(row.suite, set()).update(row.debs)
        return wanted


def load(path: Path = _DECLARATION) -> Declaration:
    """Read and validate packages.yaml."""
    return Declaration.model_validate(YAML(typ="safe").load(path))


def load_with_cuda() -> Declaration:
    """Read packages.yaml and, in the same lists, the rows of cuda.yaml."""
    rows, added = (YAML(typ="safe").load(path) for path in (_DECLARATION, _CUDA))
    return Declaration.model_validate(
        {**rows, **{key: [*rows[key], *more] for key, more in added.items()}}
    )
