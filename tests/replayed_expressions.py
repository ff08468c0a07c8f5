"""GitHub's expressions, as far as workflows of ours could use them.

Source: docs.github.com/en/actions/reference/workflows-and-actions/expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# what a text between braces has: no second pair of them
_WHOLE = re.compile(r"\$\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|&&|\|\||==|!=|[!(),]|-?\d+(?:\.\d+)?|[A-Za-z_][\w.*-]*)")
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
#: with one of them in it, a condition no longer wants all before it to have succeeded
_STATUS = re.compile(r"\b(always|cancelled|failure|success)\(\)")
Functions = Mapping[str, Callable[..., Any]]


@dataclass
class _Parser:
    tokens: list[str]
    values: Mapping[str, Any]
    functions: Functions

    def take(self, *wanted: str) -> str:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else ""

    def either(self) -> Any:
        left = self.both()
        while self.take("||"):
            right = self.both()
            left = left or right
        return left

    def both(self) -> Any:
        left = self.compared()
        while self.take("&&"):
            right = self.compared()
            left = left and right
        return left

    def compared(self) -> Any:
        left = self.single()
        while operator := self.take("==", "!="):
            left = _equal(left, self.single()) == (operator == "==")
        return left

    def single(self) -> Any:
        if self.take("!"):
            return not self.single()
        if self.take("("):
            found = self.either()
            assert self.take(")"), self.tokens
            return found
        token = self.tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if re.match(r"-?\d", token):
            return float(token)
        if self.take("("):
            given = []
            while not self.take(")"):
                given.append(self.either())
                self.take(",")
            return self.functions[token](*given)
        return _WORDS[token] if token in _WORDS else self.values.get(token)


def _equal(left: Any, right: Any) -> bool:
    """Compare loosely: text without its case, and what is of other kinds as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    return (type(left) is type(right) and left == right) or _number(left) == _number(right)


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return float("nan")


def evaluate(text: str, values: Mapping[str, Any], functions: Functions) -> Any:
    """Return what an expression without its braces comes to; an unknown name is null."""
    tokens, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        assert match is not None, text[place:]
        tokens.append(match[1])
        place = match.end()
    parser = _Parser(tokens, values, functions)
    found = parser.either()
    assert not parser.tokens, f"what is {parser.tokens} of {text}?"
    return found


def filled(text: Any, values: Mapping[str, Any], functions: Functions) -> Any:
    """Fill the expressions of a text in; one that is nothing else keeps its kind."""
    if not isinstance(text, str):
        return text
    if (whole := _WHOLE.fullmatch(text.strip())) is not None:
        return evaluate(whole[1], values, functions)
    return _WHOLE.sub(lambda match: words(evaluate(match[1], values, functions)), text)


def words(value: Any) -> str:
    """Write a value as GitHub does into a text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def holds(condition: Any, values: Mapping[str, Any], functions: Functions) -> bool:
    """Whether a job or step is wanted: without a word about the others, where they succeeded."""
    text = str(condition if condition is not None else "success()")
    whole = _WHOLE.fullmatch(text.strip())
    text = whole[1] if whole else text
    text = text if _STATUS.search(text) else f"success() && ({text})"
    return bool(evaluate(text, values, functions))
