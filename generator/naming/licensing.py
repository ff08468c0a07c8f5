"""What a wheel's licence is called in SPDX, from what METADATA says in any words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from boolean import ParseError
from license_expression import ExpressionError, LicenseSymbol, Licensing, get_license_index
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from generator.datafiles import DATA, load_data
from generator.errors import DataError
from generator.model.closed import Closed
from generator.model.wheel import Metadata
from generator.naming.projects import name_map

_FILE: Final = "license_names.yaml"
#: SPDX 2.3, annex D: what a LicenseRef may be made of
_NOT_IN_A_REF: Final = re.compile(r"[^A-Za-z0-9.]+")
#: characters of a LicenseRef after its prefix: a stated text may be a page long
_LONGEST_REF: Final = 60

#: what the parser lets through for `(AND()`, `( and + x +` and the like, beside its own
_ODD: Final = (ExpressionError, ParseError, IndexError, AssertionError, TypeError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Licence:
    """A wheel's licence."""

    #: SPDX expression; ``LicenseRef-...`` where nobody knows which one it is
    expression: str
    #: what METADATA states, where nobody knows which licence that is; "" else
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class LicenseNames(Closed):
    """The whole of data/license_names.yaml."""

    format: Literal[1]
    names: dict[str, tuple[str, ...]]
    classifiers: dict[str, str]


def licence_of(metadata: Metadata) -> Licence:
    """Return the licence of a wheel; that nobody knows it is an answer, too.

    In this order: METADATA's own License-Expression (PEP 639), its License in other words
    (data/license_names.yaml), the project's row for these words, which somebody read the text for,
    a classifier that means one licence. What then is unknown is a ``LicenseRef`` of the project
    (SPDX 2.3, D): the wheel's own texts, which are packaged, say what it is.
    Raises DataError: data/license_names.yaml does not fit.
    """
    stated = metadata.license.strip()
    row = name_map().row(metadata.name).license.get(stated, "")
    known = _expression(stated) or _in_other_words(stated) or row
    known = known or license_names().classifiers.get(stated, "")
    if known:
        return Licence(expression=known)
    ref = _NOT_IN_A_REF.sub("-", f"{metadata.name} {stated}"[:_LONGEST_REF]).strip("-")
    return Licence(expression=f"LicenseRef-{ref}", unknown=stated or "nothing")


@cache
def license_names() -> LicenseNames:
    """Read data/license_names.yaml.

    Raises DataError: a row does not fit, or names an identifier that SPDX has not.
    """
    content = load_data(_FILE, LicenseNames)
    for identifier in (*content.names, *content.classifiers.values()):
        if _expression(identifier) != identifier:
            raise DataError(
                f"{identifier} is no SPDX identifier",
                where=str(DATA / _FILE),
                next_step="mend the row",
            )
    return content


def _expression(text: str) -> str:
    """Return an SPDX expression in its canonical spelling; "" for what is none."""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""


def _in_other_words(text: str) -> str:
    """Read a text as an expression over SPDX's identifiers and our names for them."""
    if not text or "\n" in text:
        return ""
    try:
        found = _licensing().parse(text, validate=True, strict=True)
    except _ODD:
        return ""
    return _expression(str(found)) if found is not None else ""


@cache
def _licensing() -> Licensing:
    """SPDX's identifiers with our names; takes half a second, so only for who needs it."""
    names = license_names().names
    symbols = [
        LicenseSymbol(
            key=key,
            aliases=names.get(key, ()),
            is_exception=bool(row.get("is_exception")),
        )
        for row in get_license_index()
        if (key := row.get("spdx_license_key")) and not key.startswith("LicenseRef-")
    ]
    return Licensing(symbols)
