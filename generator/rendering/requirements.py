"""What one variant needs to run, and what it does not go with, as MatchSpecs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from generator.datafiles import subdirs
from generator.errors import RenderError
from generator.matrix import reference_wheel
from generator.model import Accelerator, Cell, Lock, Metadata, Variant
from generator.naming import (
    Bundled,
    RunDependency,
    admits,
    bundled,
    conda_depends,
    conda_version_spec,
    library_depends,
    torch_requirement,
    unique,
    virtual_packages,
)
from generator.packages import known_as, packages, unbound

_VERSION = "${{ version }}"
#: the variant keys that every libtorch recipe uses
_HASHED: tuple[str, ...] = (
    "arm_variant_type",
    "channel_targets",
    "cuda_compiler_version",
    "target_platform",
)
#: build string of pytorch's, libtorch's and the metapackages' builds up to the hash
_BUILD = "${{ accelerator }}_generic_*"
#: any build for the accelerator
_ACCELERATOR = "${{ accelerator }}_*"
#: conda-forge's package that keeps sbsa and tegra builds apart
_BOARD = "arm-variant"
#: of whatever Python: `PythonBuild.python_abi_spec` in a recipe's words
_PYTHON_ABI = (
    'python_abi ${{ python | replace("_cpython", "_cp" ~ (python | version_to_buildstring)) }}'
)


def run_specs(variant: Variant, cell: Cell, lock: Lock) -> tuple[str, ...]:
    """Return the run requirements of a variant that unpacks a wheel, in the order they stand.

    Raises RenderError: METADATA asks for another torch than the cell's.
    """
    wheel = variant.wheels[0]
    metadata, subdir = lock.metadata[wheel.metadata], subdirs()[variant.subdir]
    shared = variant.package == "libtorch"
    found = [] if shared else [*_python(metadata, variant), *_own(variant, cell, lock)]
    if variant.package == "pytorch-common":
        return tuple(found)
    # the driver is asked for by libtorch and pytorch, as on conda-forge; the rest depends on those
    drives = variant.package in {"libtorch", "pytorch"}
    virtual = virtual_packages(
        wheel.platforms,
        subdir=subdir,
        accelerator=variant.accelerator if drives else Accelerator(),
        glibc=wheel.glibc,
    )
    # after the tags: that a wheel is for any platform says more than what it requires
    python = variant.group or cell.pythons()[0] if shared else variant.python
    native, mapped = (
        conda_depends(
            metadata, subdir=subdir, accelerator=variant.accelerator, python=python, part=part
        )
        for part in ("native", packages()[variant.package].requirements)
    )
    libraries = library_depends(
        variant.package,
        version=wheel.version,
        subdir=variant.subdir,
        accelerator=variant.accelerator,
        # whose place the shared package's libraries take; the others depend on its exact build
        copies=() if variant.package == "pytorch" else bundled_copies(cell, wheel.project),
    )
    # what METADATA asks for has the better bounds
    stated = {dependency.name: dependency for dependency in (*native, *mapped)}
    more = tuple(stated.get(dependency.name, dependency) for dependency in libraries)
    if variant.package == "pytorch":
        # build strings do not tell Jetson from server boards: without this they could be mixed
        more += tuple(dependency for dependency in native if dependency.name == _BOARD)
    return (*found, *_ordered((*mapped, *more)), *virtual)


def _own(variant: Variant, cell: Cell, lock: Lock) -> Iterator[str]:
    """Yield what a variant needs of the channel's own packages: the builds that it goes with."""
    build, package = _libtorch_build(variant, cell, lock), variant.package
    libtorch = f"libtorch =={_VERSION} {build}_${{{{ libtorch_number }}}}"
    if package in {"pytorch-common", "pytorch"}:
        yield libtorch
    if package == "pytorch":
        same = f"{_group(variant)}_*" if variant.group else "_*"
        common = f"${{{{ accelerator }}}}_generic{same}_${{{{ common_number }}}}"
        yield f"pytorch-common =={_VERSION} {common}"
        if subdirs()[variant.subdir].os != "osx":
            kind = "cpu" if variant.accelerator.cuda is None else "cuda"
            yield f"pytorch-mutex ==1.0 {kind}"
    elif package not in {"pytorch-common", *unbound()}:
        wheel = variant.wheels[0]
        _check_torch(lock.metadata[wheel.metadata], cell)
        # conda-forge's builds have strings like ours, but for the hash: only the stable ABI is
        # the same in both
        stable = packages()[package].any_build(wheel.version)
        yield f"pytorch ==${{{{ pytorch }}}} {_ACCELERATOR if stable else _BUILD}"
        yield f"libtorch ==${{{{ pytorch }}}} {_ACCELERATOR if stable else f'{build}_*'}"
        for name, taken in packages()[package].takes.items():
            if SpecifierSet(taken.versions, prereleases=True).contains(wheel.version):
                yield f"{package}-{name}"


def bundled_copies(cell: Cell, project: str) -> tuple[Bundled, ...]:
    """Return what becomes of the libraries that a cell's wheels of one project bundle.

    Raises RenderError: the lock does not list them: an older armtorch wrote it.
    """
    version = cell.versions[project]
    if project not in cell.bundled:
        raise RenderError(
            f"the lock does not say which libraries {project} {version} bundles",
            where=cell.name,
            next_step="run `armtorch update`, since an older armtorch wrote the lock",
        )
    return bundled(cell.bundled[project], cell.subdir, version, cell.accelerator)


def _group(variant: Variant) -> str:
    """Return what tells apart the shared packages of Pythons that cannot share one: ``_py313t``."""
    group = variant.group
    return f"_py{group.major}{group.minor}{'t' * group.freethreading}" if group else ""


def _libtorch_build(variant: Variant, cell: Cell, lock: Lock) -> str:
    """Return the build string of a variant's libtorch, without its number.

    Its hash tells our build from conda-forge's of the same version: their pytorch names the hash of
    their libtorch likewise, and so the two never mix, whatever the channel priority. It is
    rattler-build's own: sha1 over the variant keys that a recipe uses, with the virtual packages it
    asks for (rattler-build, hash.rs, as conda-build has it). `tree_records` and the built
    packages' tests hold it against the real one.
    """
    if variant.group is None and any(each.apart for each in lock.cells if each.line == cell.line):
        return "${{ accelerator }}_generic_py*"  # for every Python, with the libtorch of each
    wheel = reference_wheel(cell, variant.group)
    virtual = virtual_packages(
        wheel.platforms if wheel else (),
        subdir=subdirs()[variant.subdir],
        accelerator=variant.accelerator,
        glibc=wheel.glibc if wheel else "",
    )
    used = {key: variant.config[key][0] for key in _HASHED if key in variant.config}
    used |= {"python": variant.group.variant_value} if variant.group else {}
    used |= {spec.split(" ", 1)[0]: spec for spec in virtual}
    text = json.dumps(dict(sorted(used.items())))
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return f"${{{{ accelerator }}}}_generic{_group(variant)}_h{digest[:7]}"


def constraint_specs(variant: Variant) -> tuple[str, ...]:
    """Return run_constraints, as conda-forge's and the old pytorch channel's packages have them.

    Sources: pytorch-cpu-feedstock recipe/meta.yaml (run_constrained of libtorch and pytorch),
    pytorch/builder conda/pytorch-nightly/meta.yaml (cpuonly).
    """
    if variant.package == "pytorch-common":
        # or it would stay behind where another channel's pytorch takes over, with the same files
        return (f"pytorch =={_VERSION} {_BUILD}",)
    if (known := known_as(variant.package)) != variant.package:
        return (f"{known} <0.0a0",)  # it has the same files
    if variant.package not in {"libtorch", "pytorch"}:
        return ()
    cuda = variant.accelerator.cuda_compiler_version
    kind, other = ("cpu", "gpu") if cuda == "None" else ("gpu", "cpu")
    found = [f"pytorch-{kind} =={_VERSION}", f"pytorch-{other} <0.0a0"]
    if variant.package == "libtorch":
        found.insert(0, f"pytorch =={_VERSION} {_BUILD}")
        if not variant.subdir.startswith("win-"):
            # a second OpenMP beside OpenBLAS' own threads crashes
            found += ["libopenblas * openmp_*", "openblas * openmp_*"]
        if cuda == "None" and variant.subdir.startswith("linux-"):
            # only conda-forge's CUDA torch needs it, and clients keep what is installed
            found += ["libmagma <0.0a0"]
    elif cuda == "None":
        found += ["pytorch-cuda <0.0a0"]
    else:
        found += ["cpuonly <0.0a0", f"pytorch-cuda {cuda}.*"]
    return tuple(found)


def _python(metadata: Metadata, variant: Variant) -> tuple[str, ...]:
    """Ask for the Python of the wheel: python_abi binds the minor, python stays bare for linters.

    Only what Requires-Python leaves out inside the minor is said of python itself. What is of the
    stable ABI asks for the first minor and for a GIL, as conda-forge's packages do (CEP 20;
    python-abi3-feedstock).
    """
    python = variant.python
    if variant.abi3 and python is not None:
        below = [s for s in SpecifierSet(metadata.requires_python) if s.operator in {"<", "!="}]
        wanted = conda_version_spec(",".join([f">={python.version}", *map(str, below)]))
        return ("python", f"cpython {wanted}", "_python_abi3_support 1.*")
    if python is None:
        wanted = conda_version_spec(metadata.requires_python) if metadata.requires_python else ""
        return (f"python {wanted}".strip(),)
    left_out = sorted(
        f"!={specifier.version}"
        for specifier in SpecifierSet(metadata.requires_python)
        if specifier.operator == "!=" and specifier.version.startswith(f"{python.version}.")
    )
    return (f"python {','.join(left_out)}".strip(), _PYTHON_ABI)


def _check_torch(metadata: Metadata, cell: Cell) -> None:
    wanted = torch_requirement(metadata)
    there = {cell.torch, *(wheel.version for wheel in cell.wheels_of("torch"))}
    if wanted is not None and not any(
        admits(SpecifierSet(wanted), Version(each)) for each in there
    ):
        raise RenderError(
            f"{metadata.name} {metadata.version} wants torch{wanted}, the cell has {cell.torch}",
            where=cell.name,
            next_step="run `armtorch update`, which solves the trio again",
        )


def _ordered(found: tuple[RunDependency, ...]) -> tuple[str, ...]:
    return tuple(sorted(dependency.spec for dependency in unique(found)))
