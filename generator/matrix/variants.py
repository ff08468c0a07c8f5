"""Every variant that the feedstock and the lock give, in the order in which they can be built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from generator.datafiles import subdirs
from generator.errors import LockError
from generator.feedstock import Feedstock
from generator.matrix.lines import (
    METAPACKAGES,
    LineCells,
    lines,
    reference_wheel,
    wanted_pythons,
)
from generator.matrix.smithy import Config, shared_configs, smithy
from generator.model import Accelerator, BuildNumber, Cell, Lock, PythonBuild, Variant, Wheel
from generator.model.stem import stem
from generator.naming import conda_name
from generator.packages import choices, known_as, packages, projects, shared, unbound

#: what a choice's builds have added to their number, by what they take
_TAKEN = {"None": 0, "any": 100, "cuda": 200}


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A variant before it is known which of its keys have several values on its platform."""

    variant: Variant
    #: keys that tell variants apart, with this one's value
    keys: dict[str, str]


def variants(feedstock: Feedstock, lock: Lock) -> tuple[Variant, ...]:
    """Return every variant, metapackages first, each after those it depends on.

    Raises LockError: the lock has two cells for one place, or one that the feedstock does not ask
    for.
    """
    _refuse_unasked(feedstock, lock)
    found: list[Variant] = []
    for line in lines(lock):
        own: list[Variant] = []
        for package, row in packages().items():
            drafts = [
                draft
                for cell in line.cells
                if row.wanted(cell.subdir, cell.accelerator) and is_called(package, cell, lock)
                for draft in (
                    _fill(feedstock, lock, cell, package)
                    if package in unbound()
                    else _of_cell(feedstock, lock, line, cell, package)
                )
            ]
            if package in unbound():
                drafts = _not_yet(drafts, found)
            own += [_named(draft, drafts, feedstock) for draft in drafts]
        found += shared_configs(own)
    found[:0] = _metapackages(feedstock, lock, {each.package for each in found})
    return tuple(_with_depends(found))


def is_called(package: str, cell: Cell, lock: Lock) -> bool:
    """Whether a cell's package has this name, where packages.yaml has one for it aside, too.

    Aside are CUDA's packages while the train has cells of the platform for a CPU, and none of
    those has one of its own: what the base channel has for them stays in sight.
    """
    own = packages()[known_as(package)]
    beside = [
        other
        for other in lock.cells
        if (other.train, other.subdir) == (cell.train, cell.subdir)
        and other.accelerator.cuda is None
    ]
    hides = bool(beside) and not any(own.project in other.versions for other in beside)
    aside = own.aside if hides and cell.accelerator.cuda is not None else ""
    return package == (aside or known_as(package))


def _refuse_unasked(feedstock: Feedstock, lock: Lock) -> None:
    declared = {str(subdir) for subdir in feedstock.subdirs}
    if unasked := sorted({cell.subdir for cell in lock.cells} - declared):
        raise LockError(
            f"the lock has cells for {', '.join(unasked)}, which feedstock.yaml does not declare",
            where="feedstock.lock.yaml",
            next_step="run armtorch update, or declare it under subdirs",
        )


def _not_yet(drafts: list[_Draft], found: list[Variant]) -> list[_Draft]:
    """Leave out what another cell gives already: such a package is bound to no torch."""
    made = {(v.package, v.subdir, v.version, v.python) for v in found}
    kept: dict[tuple[object, ...], _Draft] = {}
    for draft in drafts:
        variant = draft.variant
        key = (variant.package, variant.subdir, variant.version, variant.python)
        if key not in made:
            kept.setdefault(key, draft)
    return list(kept.values())


def _of_cell(
    feedstock: Feedstock, lock: Lock, line: LineCells, cell: Cell, package: str
) -> Iterator[_Draft]:
    """Yield the variants of one package of one cell."""
    base = {"cuda_compiler_version": cell.accelerator.cuda_compiler_version}
    if line.tegra and cell.subdir.startswith("linux-"):
        base["arm_variant_type"] = cell.accelerator.arm_variant_type
    if package not in projects():
        if wanted_pythons(feedstock, cell):
            yield _draft(lock, cell, package, base)
        return
    if package in shared():
        wanted = wanted_pythons(feedstock, cell)
        for wheel in dict.fromkeys(reference_wheel(cell, python) for python in wanted):
            if wheel is not None and wheel.python is not None:
                draft = _draft(lock, cell, package, base, wheels=(wheel,))
                yield _grouped(draft, wheel.python) if line.grouped else draft
        return
    if packages()[package].companion:
        base["pytorch"] = conda_version(cell.torch)
    project = projects()[package]
    pythons = wanted_pythons(feedstock, cell)
    if not line.per_python(package):
        every = next((w for python in pythons if (w := cell.wheel(project, python))), None)
        if every is not None:
            yield _draft(lock, cell, package, base, wheels=(every,))
        return
    for python in pythons:
        if (wheel := cell.wheel(project, python)) is not None:
            keys = {**base, "python": python.variant_value}
            draft = _draft(lock, cell, package, keys, python=python, wheels=(wheel,))
            home = reference_wheel(cell, python)
            yield _grouped(draft, home.python) if line.grouped and home else draft


def _grouped(draft: _Draft, python: PythonBuild | None) -> _Draft:
    """Say whose libtorch it is of; what is of no Python is told apart by it, too."""
    keys = {} if python is None else {"python": python.variant_value}
    return replace(draft, keys={**keys, **draft.keys}, variant=replace(draft.variant, group=python))


def _fill(feedstock: Feedstock, lock: Lock, cell: Cell, package: str) -> Iterator[_Draft]:
    """Yield one variant per wheel: one for the stable ABI serves several Pythons."""
    pythons = wanted_pythons(feedstock, cell)
    for wheel in cell.wheels_of(projects()[package]):
        if wheel.python is not None and any(wheel.serves(python) for python in pythons):
            keys = {"python": wheel.python.variant_value}
            draft = _draft(lock, cell, package, keys, python=wheel.python, wheels=(wheel,))
            # its builds do not differ by accelerator, and so neither do their numbers
            number = _build(lock, cell.line, package).number
            variant = replace(draft.variant, abi3=wheel.abi3, build_number=number)
            yield replace(draft, variant=variant)


def _draft(
    lock: Lock,
    cell: Cell,
    package: str,
    keys: dict[str, str],
    *,
    python: PythonBuild | None = None,
    wheels: tuple[Wheel, ...] = (),
) -> _Draft:
    build = _build(lock, cell.line, package)
    version = wheels[0].version if wheels else cell.torch
    return _Draft(
        keys=keys,
        variant=Variant(
            line=cell.line,
            train=cell.train,
            package=package,
            subdir=cell.subdir,
            accelerator=cell.accelerator,
            python=python,
            version=conda_version(version),
            build_number=build.number + cell.accelerator.build_offset,
            digest=build.digest,
            stem="",
            config={},
            wheels=wheels,
            purls=tuple(
                sorted(
                    {
                        w.purl.partition("?")[0]
                        for w in wheels
                        if conda_name(w.project) == known_as(package)
                    }
                )
            ),
        ),
    )


def conda_version(version: str) -> str:
    """Return an upstream version as conda has it: without the local part, ``2.13.0+cu130``."""
    return version.partition("+")[0]


def _build(lock: Lock, line: str, package: str) -> BuildNumber:
    return lock.builds.get(f"{line}/{package}", BuildNumber(number=0, digest=""))


def _named(draft: _Draft, siblings: list[_Draft], feedstock: Feedstock) -> Variant:
    """Give a draft its stem and its config, by conda-smithy's rules."""
    variant = draft.variant
    here = [other.keys for other in siblings if other.variant.subdir == variant.subdir]
    loops = [key for key in draft.keys if len({keys[key] for keys in here}) > 1]
    noarch = variant.subdir == "noarch"
    platform = smithy().noarch_platform if noarch else subdirs()[variant.subdir].smithy_name
    shared = smithy().platforms[platform.replace("_", "-")].keys()
    base = ("conda-forge",) if noarch else feedstock.subdirs[variant.subdir].base  # type: ignore[index]
    config: Config = {
        **shared,
        **{key: (value,) for key, value in draft.keys.items()},
        "channel_sources": (",".join(base),),
        "channel_targets": (f"{feedstock.channel} {feedstock.label(variant.train) or 'main'}",),
        **({} if noarch else {"target_platform": (variant.subdir,)}),
    }
    name = stem(platform, config, loops)
    return replace(variant, stem=name, config=dict(sorted(config.items())))


def _metapackages(feedstock: Feedstock, lock: Lock, made: set[str]) -> Iterator[Variant]:
    """Yield the packages that exist once for every platform, beside those that are ``made``.

    Source: pytorch/builder, conda/pytorch-mutex, conda/cpuonly, conda/pytorch-cuda.
    """
    cuda = sorted({cell.accelerator for cell in lock.cells if cell.accelerator.cuda is not None})
    versions = sorted({accelerator.cuda_compiler_version for accelerator in cuda})
    rows: list[tuple[str, str, Accelerator, dict[str, str]]] = [
        ("pytorch-mutex", "1.0", Accelerator(), {"cuda_compiler": "None"}),
        (
            "pytorch-mutex",
            "1.0",
            cuda[0] if cuda else Accelerator.parse("cuda130"),
            {"cuda_compiler": "cuda-nvcc"},
        ),
        ("cpuonly", "2.0", Accelerator(), {}),
        *(
            (
                "pytorch-cuda",
                version,
                Accelerator.parse(f"cuda{version.replace('.', '')}"),
                {"cuda_compiler_version": version},
            )
            for version in versions
        ),
        *(
            (name, "1.0", Accelerator(), {"taken": value})
            for name, choice in choices().items()
            if any(packages()[choice.own].project in cell.versions for cell in lock.cells)
            for value in ("None", "any", *(["cuda"] if choice.aside in made else []))
        ),
    ]
    drafts = []
    for package, version, accelerator, keys in rows:
        build = _build(lock, METAPACKAGES, package)
        higher = keys.get("cuda_compiler") == "cuda-nvcc"
        offset = _TAKEN.get(keys.get("taken", ""), 100 if higher else 0)
        drafts.append(
            _Draft(
                keys=keys,
                variant=Variant(
                    line=METAPACKAGES,
                    train="stable",
                    package=package,
                    subdir="noarch",
                    accelerator=accelerator,
                    python=None,
                    version=version,
                    build_number=build.number + offset,
                    digest=build.digest,
                    stem="",
                    config={},
                ),
            )
        )
    for draft in drafts:
        same = [other for other in drafts if other.variant.package == draft.variant.package]
        yield _named(draft, same, feedstock)


def beside(feedstock: Feedstock, package: str, wheel: Wheel, build: BuildNumber) -> Variant:
    """Return what is on the channel beside the lock's packages, as a metapackage is."""
    variant = Variant(
        line=METAPACKAGES,
        train="stable",
        package=package,
        subdir="noarch",
        accelerator=Accelerator(),
        python=None,
        version=wheel.version,
        build_number=build.number,
        digest=build.digest,
        stem="",
        config={},
        wheels=(wheel,),
    )
    draft = _Draft(keys={}, variant=variant)
    return _named(draft, [draft], feedstock)


def _with_depends(found: list[Variant]) -> Iterator[Variant]:
    """Fill in which other variants must be on the channel before one can be tested."""
    for variant in found:
        yield replace(
            variant,
            depends=tuple(
                other.id for other in found if other is not variant and _needs(variant, other)
            ),
        )


def _needs(variant: Variant, other: Variant) -> bool:
    if other.line == METAPACKAGES:
        return _needs_metapackage(variant, other)
    if other.package in unbound():
        return (
            variant.package == "pytorch"
            and variant.accelerator.cuda is not None
            and (variant.line, variant.subdir) == (other.line, other.subdir)
            and variant.python is not None
            and other.serves(variant.python)
        )
    if (variant.line, variant.subdir, variant.accelerator) != (
        other.line,
        other.subdir,
        other.accelerator,
    ):
        return False
    if variant.package == "pytorch-common":
        return other.package == "libtorch" and other.group == variant.group
    if variant.package == "pytorch":
        return other.package in shared() and other.group == variant.group
    row = packages().get(variant.package)
    return (
        known_as(other.package) in {"pytorch", *(row.takes if row is not None else ())}
        and variant.package not in {*shared(), *unbound(), "pytorch"}
        and variant.python in {None, other.python}
    )


def _needs_metapackage(variant: Variant, other: Variant) -> bool:
    if other.package in choices():
        return choices()[other.package].own == variant.package
    cuda, kind = variant.accelerator.cuda is not None, other.accelerator.cuda is not None
    mutex = other.package == "pytorch-mutex" and cuda == kind
    return mutex and (
        variant.package in {"cpuonly", "pytorch-cuda"}
        or (variant.package == "pytorch" and not variant.subdir.startswith("osx-"))
    )
