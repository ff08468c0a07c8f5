"""Writes a text as a value into a recipe: what rattler-build reads is that text, whatever it is.

A recipe is YAML whose texts are templates: ``${{ ... }}`` in one is evaluated, with the environment
of whoever renders it. No text of others is ever an expression (decision D16).
"""

from __future__ import annotations

import json
import re
from typing import Final

#: texts that stay themselves without quotes in YAML 1.1 and 1.2, and hold no expression
_TAME: Final = re.compile(
    r"[A-Za-z./_][A-Za-z0-9 ./_*+,=()'+-]*(:[A-Za-z0-9./_*+,=()'-][A-Za-z0-9 ./_*+,=()'-]*)*"
)
#: plain scalars that YAML 1.1 reads as something else than a text
_SPECIAL: Final = re.compile(
    r"null|true|false|yes|no|on|off|y|n|[\d._]+(e[-+]?\d+)?|\.(inf|nan)|\d+(:\d+)+(\.\d*)?",
    re.IGNORECASE,
)


def literal(text: str) -> str:
    r"""Write a text as a YAML scalar that rattler-build takes for that text.

    What could be taken for a template is written as an expression whose value is the text.

    >>> literal("BSD-3-Clause"), literal("yes")
    ('BSD-3-Clause', '"yes"')
    >>> literal("${{ 1 }}")
    '"${{ \\"${{ 1 }}\\" }}"'

    """
    if _TAME.fullmatch(text) and not _SPECIAL.fullmatch(text) and not text.endswith(" "):
        return text
    if "{" in text:
        text = f"${{{{ {json.dumps(text, ensure_ascii=False)} }}}}"
    return json.dumps(text, ensure_ascii=False)
