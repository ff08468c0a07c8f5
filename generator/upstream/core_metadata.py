"""Reads METADATA and entry_points.txt by the core metadata specification."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable

from packaging.metadata import Metadata as CoreMetadata
from packaging.metadata import RawMetadata, parse_email
from packaging.utils import canonicalize_name
from pydantic import TypeAdapter, ValidationError

from generator.datafiles import describe
from generator.documents import limits, parse_version
from generator.errors import MalformedError
from generator.model.names import ConsoleScript, one_line
from generator.model.wheel import Metadata
from generator.upstream.offers import Offer

_ADAPTER = TypeAdapter(Metadata)
_SCRIPT: TypeAdapter[str] = TypeAdapter(ConsoleScript)
_BLANK = re.compile(rb"\r?\n\r?\n|\r\r")
#: characters of a summary that are kept
_SUMMARY = 500
#: those that data/layout.yaml packages
_LICENSE_FILE = re.compile(
    r"(licenses/.+|(LICEN[CS]E|COPYING|NOTICE|licen[cs]e|copying|notice)[^/]*)"
)
_LICENSE_CLASSIFIER = "License :: "
#: what older setuptools writes into a field that nobody filled in (torchaudio 2.0.1 for Linux)
_UNKNOWN = "UNKNOWN"
#: the major version of core metadata that is read here
_MAJOR = 2
_HOME_LABELS = ("homepage", "home", "repository", "source", "sourcecode")


def parse_metadata(text: bytes, offer: Offer, members: Iterable[str] = ()) -> Metadata:
    """Read METADATA of ``offer``; ``members`` are the wheel's files, for its licence texts.

    Raises MalformedError: it is not core metadata, or of a major version that is not known (which
    must not be read, says the specification), a requirement is not PEP 508, or it is about another
    project or version than the file name.
    """
    where = f"{offer.filename}, METADATA"
    head = _BLANK.split(text, maxsplit=1)[0]
    if len(head.splitlines()) > (most := limits().zip.headers):
        # the email parser looks through all of them for each
        raise _malformed(f"it has more than {most:,} lines before its description", where)
    try:
        raw, _ = parse_email(text)
        major = parse_version(raw.get("metadata_version", "1.0"), where).major
        core = CoreMetadata.from_raw(raw, validate=False)
        name, version = core.name, core.version
        requires = tuple(dict.fromkeys(str(r) for r in core.requires_dist or ()))
        requires_python = str(core.requires_python or "")
        summary = core.summary or ""
    except (ExceptionGroup, ValueError, RecursionError, LookupError, TypeError) as error:
        # InvalidMetadata and InvalidRequirement are ValueErrors; the email parser raises the others
        raise _malformed(f"not core metadata: {one_line(str(error), 300)}", where) from error
    if major > _MAJOR:
        raise _malformed(
            f"it is core metadata {raw['metadata_version']}, read is {_MAJOR}.x", where
        )
    if canonicalize_name(name) != offer.project or version.public != offer.version.public:
        raise MalformedError(
            f"it is about {name} {version}",
            where=where,
            next_step="do not use this file; report it upstream",
        )
    try:
        return _ADAPTER.validate_python(
            {
                "name": name,
                "version": str(version),
                "summary": one_line(summary, _SUMMARY),
                "requires_python": requires_python,
                "requires_dist": requires,
                "license": _license(raw),
                "home": _home(raw),
                "license_files": license_files(members),
            }
        )
    except ValidationError as error:
        raise _malformed(one_line(describe(error), 300), where) from error


def license_files(members: Iterable[str]) -> tuple[str, ...]:
    """Choose the licence texts among the members: those of PEP 639 and those by old habit."""
    found = []
    for path in members:
        top, _, rest = path.partition("/")
        if top.endswith(".dist-info") and _LICENSE_FILE.fullmatch(rest):
            found.append(path)
    return tuple(sorted(found))


def parse_console_scripts(text: bytes, where: str) -> tuple[str, ...]:
    """Read the console scripts of entry_points.txt, as ``name = module:function``, sorted.

    Raises MalformedError: it is not the INI file of the entry points specification.
    """
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(text.decode("utf-8"))
        scripts = parser.items("console_scripts") if parser.has_section("console_scripts") else []
        return tuple(sorted(_SCRIPT.validate_python(f"{n} = {target}") for n, target in scripts))
    except (
        configparser.Error,
        ValueError,
    ) as error:  # ValidationError is one, and what is no UTF-8
        raise _malformed(
            f"entry_points.txt cannot be read: {one_line(str(error), 300)}", where
        ) from error


def _malformed(what: str, where: str) -> MalformedError:
    return MalformedError(what, where=where, next_step="report it upstream")


def _license(raw: RawMetadata) -> str:
    """Prefer the SPDX expression (PEP 639), then a short License field, then the classifiers.

    Of several nobody says whether all of them hold or one is to be chosen.
    """
    if expression := raw.get("license_expression"):
        return expression
    text = (raw.get("license") or "").strip()
    if text not in {"", _UNKNOWN} and "\n" not in text:
        return text
    classifiers = [c for c in raw.get("classifiers") or () if c.startswith(_LICENSE_CLASSIFIER)]
    return "; ".join(c.rsplit(" :: ", 1)[1] for c in classifiers)


def _home(raw: RawMetadata) -> str:
    if home := raw.get("home_page"):
        return home
    labels = {
        re.sub(r"[^a-z]", "", label.lower()): url
        for label, url in (raw.get("project_urls") or {}).items()
    }
    return next((labels[label] for label in _HOME_LABELS if label in labels), "")
