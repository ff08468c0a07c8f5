"""What rows of files have in common: a key that nobody knows is refused, not passed over."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict


class Closed:
    """The base of a dataclass that is read with no other keys than its fields."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class Documented(Closed):
    """The base of one whose fields' docstrings stand in its JSON Schema."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", use_attribute_docstrings=True
    )
