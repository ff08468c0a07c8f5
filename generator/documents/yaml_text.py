"""YAML of others: plain values without tags, and no more of them than it may stand for.

A few lines of YAML can stand for billions of values, since an alias repeats what it names and a
merge key copies it. So what a document would be with every alias written out is counted while it is
composed, before anything of it is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from generator.documents.limits import limits
from generator.errors import ArmtorchError, MalformedError

#: what ruamel lets through of Python's own: a date like 2026-13-01, `!!int x`, a directive
_ODD = (YAMLError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


class _TooMuchError(YAMLError):
    """A document beyond the limits."""


class _Composer(Composer):
    """Counts what a document stands for."""

    _depth = 0
    #: nodes composed so far, and of each that is finished how many it stands for
    _composed = 0
    _known: dict[int, int] | None = None

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node; raise _TooMuchError where the limits end."""
        allowed, event = limits().yaml, self.parser.peek_event()
        sizes = self._known = {} if self._known is None else self._known
        if isinstance(event, AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in sizes:
                raise _TooMuchError("it holds itself")
            return node
        if event.tag is not None:
            raise _TooMuchError(f"it has a tag, {event.tag}")
        self._composed += 1
        self._depth += 1
        if self._depth > allowed.depth:
            raise _TooMuchError(f"it is nested more than {allowed.depth} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        sizes[id(node)] = 1 + sum(sizes[id(child)] for child in _children(node))
        if max(sizes[id(node)], self._composed) > allowed.nodes:
            raise _TooMuchError(f"it stands for more than {allowed.nodes:,} values")
        return node


def _children(node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    return [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else []


def line_of(content: bytes, place: Iterable[str | int]) -> int:
    """Return the line that a value stands on, of a document that could be read; the first is 1.

    ``place`` are the keys and numbers down to it; where there is no such key it is the line of what
    would have it.
    """
    node: Node | None = _reader().compose(content.decode("utf-8"))
    line = 0
    for part in place:
        if isinstance(node, MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if found is not None:
                line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return line + 1


def _reader(*, pure: bool = True) -> YAML:
    yaml = YAML(typ="safe", pure=pure)
    yaml.Composer = _Composer
    return yaml


def _read_by_libyaml(text: str) -> Any:
    """Read with libyaml's events, and compose what they say as ever.

    It knows YAML 1.1 and refuses some of what 1.2 allows, a colon in a row's bare text among it.
    Where there is no libyaml the text reaches no parser, and that is an error too.
    """
    yaml = _reader(pure=False)
    yaml._stream = text  # noqa: SLF001 - where ruamel's own `load` leaves it for libyaml
    return yaml.constructor.get_single_data()


def load_yaml(
    content: bytes | str,
    where: str,
    *,
    refuse: type[ArmtorchError] = MalformedError,
    next_step: str = "mend the file",
    own: bool = False,
) -> Any:
    """Return what a YAML document holds: texts, numbers, lists and mappings.

    ``own``: armtorch wrote it, and a digest tells who else did. libyaml reads it in a quarter of
    the time, and what it stumbles over is read as everybody's is.
    Raises ArmtorchError: of the kind ``refuse``: it is not YAML, not UTF-8, has a tag, is too long,
    nested too deeply, or stands for too much.
    """
    allowed = limits().yaml
    if len(content) > allowed.bytes:
        raise refuse(
            f"it has {len(content):,} bytes, {allowed.bytes:,} are read",
            where=where,
            next_step=next_step,
        )
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        if own:
            with suppress(*_ODD, RecursionError):
                return _read_by_libyaml(text)
        return _reader().load(text)
    except (*_ODD, RecursionError) as error:
        if isinstance(error, MarkedYAMLError):
            error.note = None  # of ruamel's own switches
        said = str(error).replace('in "<unicode string>", ', "")
        raise refuse(f"not readable as YAML: {said}", where=where, next_step=next_step) from error
