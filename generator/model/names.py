"""Texts of others that become paths, names, lines or specs: valid from the moment they are read.

An index, a wheel, a repodata and the lock of a pull request are written by others. What these types
let through can be joined to a path, written into a recipe, or printed, on every system.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version
from pydantic import AfterValidator, Field

#: what Windows keeps for devices, whatever stands behind a dot (learn.microsoft.com, "Naming Files,
#: Paths, and Namespaces")
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
#: bytes of a file's name on every system
LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 1024
_LONGEST_TEXT: Final = 4000
#: what opens an expression in a recipe, in jinja and in our templates
EXPRESSIONS: Final = ("${{", "{{", "{%", "<%", "<<", "{#", "<#")
_SCRIPT: Final = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]* = [A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*"
)
#: categories of Unicode that show nothing, or change how what follows is shown: controls, formats
#: (bidi, zero-width), surrogates, private use, line and paragraph separators. Not what is not
#: assigned: a younger Python knows more letters, and reads the same lock
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def is_shown(letter: str) -> bool:
    """Whether a letter is one that a person sees, or a blank."""
    return unicodedata.category(letter) not in _UNSHOWN


def is_device(name: str) -> bool:
    """Whether Windows takes a file's name for a device."""
    return _DEVICES.fullmatch(name) is not None


def _checked(check: Callable[[str], str | None]) -> AfterValidator:
    def validate(text: str) -> str:
        if (why := check(text)) is not None:
            raise ValueError(f"{text[:80]!r} {why}")
        return text

    return AfterValidator(validate)


def _bad_part(name: str) -> str | None:
    if not name or name in {".", ".."}:
        return "is no name"
    if is_device(name) or name[-1] in ". ":
        return "is no name on Windows"
    plain = name.isascii() and name.isprintable()
    if not (plain or all(map(is_shown, name))) or re.search(r'[\\/:*?"<>|]', name):
        return "has letters that names cannot have"
    return None


def bad_path(path: str) -> str | None:
    """Say why a relative path must not be made on some system; None when it may."""
    if len(path) > _LONGEST_PATH:
        return "is too long for a path"
    return next((why for part in path.split("/") if (why := _bad_part(part))), None)


def _bad_wheel(name: str) -> str | None:
    if len(name) > LONGEST_NAME or not re.fullmatch(r"[A-Za-z0-9_.+!-]+\.whl", name):
        return "is no name of a wheel (PEP 427)"
    try:
        parse_wheel_filename(name)
    except ValueError:  # InvalidWheelFilename
        return "is no name of a wheel (PEP 427)"
    return _bad_part(name)


def _bad_version(text: str) -> str | None:
    try:
        Version(text)
    except ValueError:
        return "is no version (PEP 440)"
    # conda knows no version with a dash, and a normalised one has none
    return None if re.fullmatch(r"[0-9a-z.+!]{1,64}", text) else "is no normalised version"


def _bad_specifiers(text: str) -> str | None:
    try:
        found = SpecifierSet(text)
    except ValueError:
        return "is no version specifier (PEP 440); write it like ==2.8.* or >=2.8,<2.9"
    if any(part.operator == "===" for part in found):
        return "compares by ===, which is for what is no version"
    return _bad_text(text)


def _bad_requirement(text: str) -> str | None:
    try:
        found = Requirement(text)
    except (ValueError, RecursionError):
        return "is no requirement (PEP 508)"
    return _bad_specifiers(str(found.specifier)) or _bad_text(text)


def _bad_script(text: str) -> str | None:
    name = text.partition(" ")[0]
    if len(text) > LONGEST_NAME or not _SCRIPT.fullmatch(text):
        return "is no console script, as in: torchrun = torch.distributed.run:main"
    return _bad_part(name)


def _bad_text(text: str) -> str | None:
    if len(text) > _LONGEST_TEXT:
        return f"has {len(text):,} characters"
    plain = text.isascii() and text.isprintable()
    if not plain and any(not is_shown(letter) for letter in text):
        return "has characters that show nothing"
    return None


def bad_plain(text: str) -> str | None:
    """Find what has no place in a recipe's value: what is refused here need not be neutralised."""
    if found := next((mark for mark in EXPRESSIONS if mark in text), ""):
        return f"has {found}, which is an expression"
    return _bad_text(text)


def one_line(text: str, most: int = _LONGEST_TEXT) -> str:
    r"""Return a text of others as one line of characters that are shown, cut where it is long.

    >>> one_line(" a\r\n::error::b\x1b[31m ")
    'a ::error::b[31m'

    """
    words = "".join(letter if is_shown(letter) else " " * letter.isspace() for letter in text)
    line = " ".join(words.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: of a line or package: a folder below recipes/
LineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$"), _checked(_bad_part)]
PackageText = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$"), _checked(_bad_part)]
#: what others call their packages
CondaName = Annotated[str, Field(pattern=r"^[a-z0-9_][a-z0-9._-]{0,127}$")]
#: ``<line>/<package>``
BuildKey = Annotated[str, Field(pattern=r"^[a-z0-9._-]+/[a-z0-9._-]+$"), _checked(bad_path)]
#: an index's name in feedstock.yaml
IndexName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
#: one of feedstock.yaml that stands for several has a star where theirs differ
DeclaredIndex = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._*-]{0,63}$")]
WheelName = Annotated[str, _checked(_bad_wheel)]
#: a platform tag (PEP 425)
PlatformTag = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
VersionText = Annotated[str, _checked(_bad_version)]
SpecifierText = Annotated[str, _checked(_bad_specifiers)]
RequirementText = Annotated[str, _checked(_bad_requirement)]
#: of a member of a wheel, or of a packaged file
MemberPath = Annotated[str, _checked(bad_path)]
FileName = Annotated[str, _checked(_bad_part)]
#: ``torchrun = torch.distributed.run:main`` (entry points specification, without extras): the first
#: is the name of a file, the rest stands in one
ConsoleScript = Annotated[str, _checked(_bad_script)]
#: a text that is shown to people and stands in recipes as a value
PlainText = Annotated[str, _checked(bad_plain)]
ShownText = Annotated[str, _checked(_bad_text)]
#: ISO 8601
Day = Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
Moment = Annotated[str, Field(pattern=r"^[0-9T:.+Z -]{0,40}$")]
Glibc = Annotated[str, Field(pattern=r"^(2\.[0-9]{1,2})?$")]
Size = Annotated[int, Field(ge=0, lt=1 << 53)]
#: since 1970: what a zip, and so a package, can say; 1 Jan 1980 to 2107, or 0
Milliseconds = Annotated[int, Field(ge=0, lt=4354819200000)]


def tells_number(build: str, number: int) -> bool:
    """Whether a build string ends in its build number, so that a new number is a new file name.

    pytorch-mutex's are "cpu" and "cuda" and no more, as upstream's packages ask for them
    (conda/pytorch-mutex in pytorch/builder): what has such a string is released once.
    """
    return build.rpartition("_")[2] == str(number)
