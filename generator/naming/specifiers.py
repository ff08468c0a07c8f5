"""PEP 440 version specifiers written as conda version specs.

Sources: PEP 440 and the packaging specifications for the left side, conda's documentation on
package match specifications (and rattler, which parses every spec in the tests) for the right.
"""

from __future__ import annotations

from typing import Final

from packaging.specifiers import Specifier
from packaging.version import Version

from generator.documents import parse_specifiers

#: lower bounds first, then upper ones, then holes: how people write ranges
_ORDER: Final = {"===": 0, "==": 0, "~=": 0, ">=": 1, ">": 1, "<": 2, "<=": 2, "!=": 3}


def conda_version_spec(specifier: str) -> str:
    """Write a PEP 440 specifier set as a conda version spec; nothing for an empty one.

    ``~=3.9.0`` becomes ``>=3.9.0,<3.10``; ``==X`` stays exact, since conda's ``X.*`` would take
    in ``X.1`` too, and ``==1.2.*`` becomes conda's ``1.2.*``.
    Raises MalformedError: it is not a PEP 440 specifier set.

    >>> conda_version_spec("!=8.3.*,>=5.3.0")
    '>=5.3.0,!=8.3.*'
    """
    parts = parse_specifiers(specifier, "Requires-Dist or Requires-Python")
    ordered = sorted(parts, key=lambda part: (_ORDER[part.operator], str(part)))
    return ",".join(_conda_part(part) for part in ordered)


def bounded(version: str, *, keep: int, below: int) -> str:
    """Turn a pinned version into the range with the same ABI.

    ``keep``: how many release parts the lower bound has. ``below``: which, from 1, must not grow.

    >>> bounded("9.24.0.43", keep=2, below=1)
    '>=9.24,<10'
    """
    release = Version(version).release
    lower = ".".join(str(part) for part in release[:keep])
    head = [*release, *([0] * below)][:below]
    upper = ".".join(str(part) for part in (*head[:-1], head[-1] + 1))
    return f">={lower},<{upper}"


def _conda_part(part: Specifier) -> str:
    if part.operator == "~=":
        # PEP 440, "Compatible release": >= V, == V.* without V's last release part
        version = Version(part.version)
        return f">={part.version}{bounded_above(version, len(version.release) - 1)}"
    if part.operator == "===":
        return f"=={part.version}"
    if part.operator == "==" and part.version.endswith(".*"):
        return part.version
    return f"{part.operator}{part.version}"


def bounded_above(version: Version, parts: int) -> str:
    """Write ``,<`` and the version that follows the first ``parts`` release parts."""
    head = version.release[:parts]
    epoch = f"{version.epoch}!" if version.epoch else ""
    return f",<{epoch}{'.'.join(str(part) for part in (*head[:-1], head[-1] + 1))}"
