"""One build of CPython, as PEP 425 tags, conda and people name it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TEXT = re.compile(r"(?P<major>\d+)\.(?P<minor>\d+)(?P<t>t?)")
_DEPENDS = re.compile(r"python_abi .*\*_(?P<abi>cp\d\d+t?)")
_ABI = re.compile(r"cp(?P<major>\d)(?P<minor>\d+)(?P<t>t?)")


@dataclass(frozen=True, order=True)
class PythonBuild:
    """A CPython minor version and whether it is the free-threaded build (PEP 703).

    >>> str(PythonBuild.parse("3.14t")), PythonBuild.parse("3.14t").abi
    ('3.14t', 'cp314t')
    """

    major: int
    minor: int
    freethreading: bool = False

    @classmethod
    def parse(cls, text: str) -> PythonBuild:
        """Read ``3.12`` or ``3.14t``; raise ValueError for anything else."""
        if (match := _TEXT.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is not a Python build; write it like 3.12 or 3.14t")
        return cls(int(match["major"]), int(match["minor"]), bool(match["t"]))

    @classmethod
    def from_abi(cls, tag: str) -> PythonBuild:
        """Read a PEP 425 ABI tag of CPython, ``cp312`` or ``cp314t``; raise ValueError else."""
        if (match := _ABI.fullmatch(tag)) is None:
            raise ValueError(f"{tag!r} is not a CPython ABI tag")
        return cls(int(match["major"]), int(match["minor"]), bool(match["t"]))

    @classmethod
    def of_depends(cls, depends: Iterable[str]) -> PythonBuild | None:
        """Return the Python whose python_abi a package depends on; None for any Python."""
        found = (match for spec in depends if (match := _DEPENDS.fullmatch(spec)))
        return next((cls.from_abi(match["abi"]) for match in found), None)

    def __str__(self) -> str:
        return f"{self.version}{'t' if self.freethreading else ''}"

    @property
    def version(self) -> str:
        """``3.14`` for both builds of 3.14."""
        return f"{self.major}.{self.minor}"

    @property
    def newest(self) -> str:
        """A full version that stands for the newest micro release, whichever that is: ``3.14.99``.

        A package is for all of them, and who installs one today gets the newest.
        """
        return f"{self.version}.99"

    @property
    def markers(self) -> dict[str, str]:
        """What environment markers say of it (PEP 508), no extra asked for."""
        return {
            "python_version": self.version,
            "python_full_version": self.newest,
            "implementation_version": self.newest,
            "extra": "",
        }

    @property
    def interpreter_tag(self) -> str:
        """The PEP 425 interpreter tag: ``cp314`` for both builds."""
        return f"cp{self.major}{self.minor}"

    @property
    def abi(self) -> str:
        """The PEP 425 ABI tag: ``cp314`` or ``cp314t``."""
        return f"{self.interpreter_tag}{'t' if self.freethreading else ''}"

    @property
    def build_string_glob(self) -> str:
        """The end of conda-forge's python build strings: ``*_cpython`` up to 3.12, then the ABI.

        Source: conda-forge-pinning, conda_build_config.yaml, key ``python``.
        """
        return f"*_{self.abi}" if (self.major, self.minor) >= (3, 13) else "*_cpython"

    @property
    def variant_value(self) -> str:
        """conda-forge's value of the variant key ``python``: ``3.14.* *_cp314t``."""
        return f"{self.version}.* {self.build_string_glob}"

    @property
    def python_abi_spec(self) -> str:
        """The MatchSpec of the python_abi package that belongs to this build."""
        return f"python_abi {self.version}.* *_{self.abi}"

    @property
    def base_specs(self) -> tuple[str, str]:
        """What a base channel that serves it has: MatchSpecs of the interpreter and its ABI."""
        return self.python_abi_spec, f"python {self.version}.*"

    @property
    def label(self) -> str:
        """``py312``, as conda-forge's build strings have it (free-threaded: ``py314t``)."""
        return f"py{self.major}{self.minor}{'t' if self.freethreading else ''}"


@dataclass(frozen=True)
class Pythons:
    """Which Python builds are asked for: some, or all, but for some.

    >>> PythonBuild.parse("3.15t") in Pythons.parse(["all", "!3.15t"])
    False
    """

    #: empty for all
    only: tuple[PythonBuild, ...] = ()
    but: tuple[PythonBuild, ...] = ()

    @classmethod
    def parse(cls, words: Iterable[str]) -> Pythons:
        """Read ``3.12``, ``3.14t``, ``all`` and exclusions such as ``!3.15t``.

        Raises ValueError: a word is none of them, or there are builds beside ``all``.
        """
        listed = list(words)
        but = tuple(PythonBuild.parse(word[1:]) for word in listed if word.startswith("!"))
        only = [word for word in listed if not word.startswith("!")]
        if "all" in only and len(only) > 1:
            raise ValueError("'all' stands alone, or beside exclusions such as '!3.15t'")
        return cls(tuple(PythonBuild.parse(word) for word in only if word != "all"), but)

    def __contains__(self, python: PythonBuild) -> bool:
        return python not in self.but and (not self.only or python in self.only)

    def __bool__(self) -> bool:
        return bool(self.only or self.but)

    def words(self) -> list[str]:
        """Return how it is written."""
        return [*map(str, self.only), *(f"!{each}" for each in self.but)] or ["all"]

    def __str__(self) -> str:
        return ", ".join(self.words())


def not_on_base(pythons: Iterable[str], subdir: str) -> str:
    """Say why what is for these Pythons alone cannot be installed (decision D12).

    >>> not_on_base(["3.12"], "win-arm64")
    'no base channel has a Python 3.12 for win-arm64'
    """
    return f"no base channel has a Python {', '.join(pythons)} for {subdir}"
