"""Reads a project's page of an index, PEP 503's HTML or PEP 691's JSON, by pypi_simple."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pypi_simple import (
    DistributionPackage,
    Link,
    ProjectPage,
    RepositoryPage,
    UnsupportedRepoVersionError,
)

from generator.documents import limits, load_json
from generator.errors import MalformedError
from generator.upstream.page_store import Page
from generator.urls import public_url

_HTML = ("text/html", "application/vnd.pypi.simple.v1+html")
#: in others, which no index uses, a tag can hide
_CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252"})
_JSON = ("application/vnd.pypi.simple.v1+json",)
#: attributes and the end of a tag (HTML, "Attributes"), none of them so long that many cost much
_ATTRIBUTES = (
    r"""(?:[\s/]++[^\s"'<>/=]{1,64}+(?:\s{0,9}+=\s{0,9}+"""
    r"""(?:"[^"]{0,2048}+"|'[^']{0,2048}+'|[^\s"'<>]{1,2048}+))?+){0,16}+\s{0,9}+/?+>"""
)
#: links with their texts, and what says where a page is and which version it has (PEP 503, 629)
_OF_A_PAGE = re.compile(
    rf"<(?:base|meta){_ATTRIBUTES}|<a{_ATTRIBUTES}(?:(?!</?a[\s>]).){{0,2048}}+</a\s{{0,9}}+>",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class IndexPage:
    """A project's page, with what pypi_simple does not read of HTML."""

    packages: Sequence[DistributionPackage]
    repository_version: str | None
    #: file name -> ``data-upload-time``
    uploaded: Mapping[str, str]


def parse_page(project: str, page: Page, where: str) -> IndexPage:
    """Read a page, JSON or HTML; raises MalformedError."""
    kind = (page.kind or "text/html").lower().partition(";")[0].strip()
    if kind not in {*_HTML, *_JSON}:
        raise not_an_index(where, f"its type is {kind[:80]!r}")
    if kind in _HTML:
        return parse_html(project, page.content, page.url, page.charset or None, where)
    try:
        found = load_json(page.content, where)
    except MalformedError as error:
        raise not_an_index(where, error.what) from error
    rows = found.get("files") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise not_an_index(where, "it has no list of files")
    if len(rows) > limits().page.files:
        raise not_an_index(where, f"it lists {len(rows):,} files")
    listed = _read_rows({**found, "files": []}, [], page.url, where)
    try:
        packages = _read_rows(found, rows, page.url, where).packages
    except MalformedError:  # a row that makes no sense costs that file
        packages = [each for row in rows for each in _read_row(found, row, page.url, where)]
    times = {p.filename: p.upload_time.isoformat() for p in packages if p.upload_time}
    return IndexPage(packages, listed.repository_version, times)


def _read_rows(page: Mapping[str, Any], rows: Sequence[Any], url: str, where: str) -> ProjectPage:
    with _sensible(where):
        return ProjectPage.from_json_data({**page, "files": rows}, url)


def _read_row(page: Mapping[str, Any], row: Any, url: str, where: str) -> list[DistributionPackage]:
    try:
        return _read_rows(page, [row], url, where).packages
    except MalformedError:
        return []


def parse_html(
    project: str, content: bytes, url: str, charset: str | None, where: str
) -> IndexPage:
    """Read a page of HTML; raises MalformedError."""
    if len(content) > limits().page.html:
        raise not_an_index(where, f"HTML of {len(content):,} bytes")
    with _sensible(where):
        name = codecs.lookup(charset or "utf-8").name
        if name not in _CHARSETS:
            raise not_an_index(where, f"HTML in {name}")
        text = content.decode(name, "replace")
        most = limits().page.tags
        if sum(map(text.count, "<&")) > most or sum(map(text.count, "/ \n\t\r\f")) > 3 * most:
            raise not_an_index(where, f"HTML of more than {most:,} tags, or what takes as long")
        page = RepositoryPage.from_html(_links(text), url)
        return IndexPage(
            [package for link in page.links for package in _of_link(link, project, where)],
            page.repository_version,
            # an attribute of download.pytorch.org (test-infra, s3_management/manage_v2.py)
            {link.text: link.get_str_attrib("data-upload-time") or "" for link in page.links},
        )


def _links(text: str) -> str:
    """Return a page of its links and what they go by, each a whole tag of bounded length.

    The parser that pypi_simple takes looks through all of a page for the end of each tag that has
    none, and joins for each link the texts of all within it: megabytes of either take hours.
    """
    parts = [match[0] for match in _OF_A_PAGE.finditer(text)]
    if not parts and "<a" in text.lower():
        raise ValueError("it has no link that is whole")
    return "\n".join(parts)


def _of_link(link: Link, project: str, where: str) -> list[DistributionPackage]:
    """Read one link; one that makes no sense costs that file."""
    try:
        with _sensible(where):
            return [DistributionPackage.from_link(link, project)]
    except MalformedError:
        return []


@contextmanager
def _sensible(where: str) -> Iterator[None]:
    """Turn what pypi_simple and its parsers raise at pages of others into MalformedError."""
    try:
        yield
    except (
        UnsupportedRepoVersionError,
        ValidationError,
        ValueError,  # bytes that are no text, URLs that are none
        LookupError,  # a charset nobody knows
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise not_an_index(where, _in_short(error)) from error


def not_an_index(where: str, why: str) -> MalformedError:
    """Make the error of an answer that is no page of an index."""
    return MalformedError(
        f"the answer is not an index page ({why})",
        where=public_url(where),
        next_step="open the URL in a browser: a login page or a proxy may stand in between",
    )


def _in_short(error: Exception) -> str:
    """Say what is wrong with a page in a line, without its URL, which may have credentials."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
