"""armtorch's own package, which is on every channel that it makes (docs/explaining.md).

Its recipe is rendered as the others are and committed nowhere: what it unpacks is the armtorch that
runs, which changes with every commit of it. So its name has the digest of all that it is made from,
and the lock, of which `update` writes its row, only orders those names by their numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from packaging.utils import canonicalize_name

from generator.building.policy import policy
from generator.documents import parse_requirement
from generator.feedstock import Feedstock
from generator.matrix import METAPACKAGES, beside
from generator.model import BuildNumber, Lock, Metadata, Variant
from generator.naming import conda_name
from generator.naming.specifiers import conda_version_spec
from generator.packages import own_requirements
from generator.rendering import templates
from generator.rendering.layout_file import whole_wheel_text
from generator.rendering.own_wheel import PROJECT, OwnWheel, own_wheel
from generator.rendering.unpacking import unpacker_files
from generator.rendering.values import literal
from generator.rendering.variant_files import ci_support_text

#: of its number in the lock
KEY: Final = f"{METAPACKAGES}/{PROJECT}"
#: below a feedstock's folder, and not committed: what it is built from
FOLDER: Final = ".armtorch/own"
#: of METADATA, where a feedstock says no address
_HOME: Final = "https://pytorch.org"


@dataclass(frozen=True, kw_only=True)
class OwnPackage:
    """The package as it is to be."""

    variant: Variant
    file_name: str
    #: of its wheel
    metadata: Metadata
    #: what it needs, MatchSpecs
    depends: tuple[str, ...]
    #: all that rattler-build needs, by path below FOLDER; the recipe and config as the variant says
    files: Mapping[str, bytes]

    @property
    def recipe(self) -> dict[str, bytes]:
        """The files of its recipe folder, by name."""
        folder = self.variant.recipe_path.rpartition("/")[0] + "/"
        return {
            path.removeprefix(folder): content
            for path, content in self.files.items()
            if path.startswith(folder)
        }


def own_package(feedstock: Feedstock, lock: Lock) -> OwnPackage | None:
    """Render the package of the armtorch that runs; None where the feedstock wants none.

    Its number is that of the lock, and the next one where the lock has another content.
    Raises AbsentError: armtorch is not installed.
    """
    if not feedstock.carry_armtorch:
        return None
    made = own_wheel()
    bare = _render(feedstock, made, BuildNumber(number=0, digest=""))
    content = hashlib.sha256(f"seal {policy().seal.format}\n".encode())
    for name, text in sorted(bare.recipe.items()):
        content.update(f"{name} {len(text)}\n".encode() + text)
    digest, known = content.hexdigest(), lock.builds.get(KEY)
    number = 0 if known is None else known.number + (known.digest != digest)
    return _render(feedstock, made, BuildNumber(number=number, digest=digest))


def with_own_row(
    feedstock: Feedstock, lock: Lock, old: Lock, own: OwnPackage | None, taken: Mapping[str, int]
) -> Lock:
    """Return the next lock with the row of armtorch's own package, which `update` alone writes.

    In armtorch's own repository, whose every commit changes it, that is no reason to write a lock.
    ``taken``: what it begins with where the old lock has no row.
    """
    builds = {key: row for key, row in lock.builds.items() if key != KEY}
    if own is not None:
        number = own.variant.build_number if KEY in old.builds else taken.get(KEY, 0)
        builds[KEY] = BuildNumber(number=number, digest=own.variant.digest)
    found = replace(lock, builds=dict(sorted(builds.items())))
    alone = replace(found, builds={**builds, KEY: old.builds[KEY]}) if KEY in old.builds else lock
    return old if feedstock.armtorch == "checkout" and alone == old else found


def _render(feedstock: Feedstock, made: OwnWheel, build: BuildNumber) -> OwnPackage:
    wheel, rows = made.wheel, own_requirements()
    variant = beside(feedstock, PROJECT, wheel, build)
    string = f"pyh{build.digest[:7]}_{build.number}"
    run, constraints = _specs(made.metadata)
    text = (
        templates.environment()
        .get_template(f"{PROJECT}.yaml.jinja")
        .render(
            version=literal(wheel.version),
            sha256=wheel.sha256,
            filename=wheel.filename,
            number=build.number,
            string=string,
            commands=[f"- {each}" for each in wheel.console_scripts],
            run=[f"- {each}" for each in run],
            run_constraints=[f"- {each}" for each in constraints],
            homepage=feedstock.repository or _HOME,
            summary=literal(made.metadata.summary),
            maintainers=", ".join(feedstock.maintainers),
            digest=build.digest,
        )
    )
    recipe = variant.recipe_path.rpartition("/")[0]
    layout = whole_wheel_text(PROJECT, wheel, feedstock, (*rows.optional, *rows.versions))
    return OwnPackage(
        variant=variant,
        file_name=f"{PROJECT}-{wheel.version}-{string}.conda",
        metadata=made.metadata,
        depends=tuple(run),
        files={
            variant.recipe_path: text.encode("utf-8"),
            f"{recipe}/layout.json": layout.encode("utf-8"),
            variant.config_path: ci_support_text(variant, ()).encode("utf-8"),
            **unpacker_files(()),
            f"wheelhouse/{wheel.sha256[:16]}/{wheel.filename}": made.content,
        },
    )


def _specs(said: Metadata) -> tuple[list[str], list[str]]:
    """Return what it needs, and which versions of the rest it goes with, MatchSpecs."""
    rows = own_requirements()
    run = [f"python {conda_version_spec(said.requires_python)}"]
    constraints: list[str] = []
    for text in said.requires_dist:
        requirement = parse_requirement(text, PROJECT)
        project = canonicalize_name(requirement.name)
        if requirement.marker is not None:
            continue
        specifier = rows.versions.get(project, str(requirement.specifier))
        spec = f"{conda_name(project)} {conda_version_spec(specifier)}".rstrip()
        (constraints if project in rows.optional else run).append(spec)
    return run, constraints
