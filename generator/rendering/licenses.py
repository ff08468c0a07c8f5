"""Licence texts that a wheel lacks for parts of it that a package carries (data/licenses.yaml)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from packaging.specifiers import SpecifierSet

from generator.datafiles import load_data
from generator.model import Metadata, Variant
from generator.model.closed import Closed
from generator.model.names import FileName, PlainText
from generator.naming import licence_of
from generator.packages import known_as


@dataclass(frozen=True, kw_only=True)
class BundledLicense(Closed):
    """The texts for one part."""

    part: str
    packages: tuple[str, ...]
    #: PEP 440, of the package
    versions: str
    subdirs: tuple[str, ...]
    #: globs of members that show that the part is there, as in layout.yaml
    match: tuple[str, ...]
    #: files of templates/licenses
    texts: tuple[FileName, ...]
    #: SPDX identifiers
    license: tuple[PlainText, ...]


@dataclass(frozen=True, kw_only=True)
class LicensesFile(Closed):
    """The whole of data/licenses.yaml."""

    format: Literal[1]
    bundled: tuple[BundledLicense, ...]


@cache
def bundled_rows() -> tuple[BundledLicense, ...]:
    """Read data/licenses.yaml; DataError when a row does not fit."""
    return load_data("licenses.yaml", LicensesFile).bundled


def bundled_licenses(package: str, variants: Sequence[Variant]) -> tuple[BundledLicense, ...]:
    """Return the rows that the packages of one recipe need beside their wheels' own texts."""
    return tuple(
        row
        for row in bundled_rows()
        if known_as(package) in row.packages
        and any(
            variant.subdir in row.subdirs
            and variant.version in SpecifierSet(row.versions, prereleases=True)
            for variant in variants
        )
    )


def license_note(metadata: Metadata) -> str:
    """Return what stands in for the licence text that a wheel does not carry."""
    licence = licence_of(metadata)
    text = f"The wheel of {metadata.name} {metadata.version} carries no licence text.\n"
    text += f"Its METADATA states: {metadata.license or 'nothing'}\n"
    if not licence.unknown:
        text += f"In SPDX's words (https://spdx.org/licenses): {licence.expression}\n"
    return text + (f"Upstream: {metadata.home}\n" if metadata.home else "")


def with_bundled(expression: str, found: Iterable[BundledLicense]) -> str:
    """Add the licences of bundled parts to an SPDX expression that is a plain conjunction.

    An expression with a choice in it is put into parentheses, so that it stays what it was.
    """
    parts = [expression] if " OR " in expression else expression.split(" AND ")
    added = [name for row in found for name in row.license]
    if new := [name for name in dict.fromkeys(added) if name not in parts]:
        kept = f"({expression})" if len(parts) == 1 and " OR " in expression else expression
        return " AND ".join([kept, *new])
    return expression
