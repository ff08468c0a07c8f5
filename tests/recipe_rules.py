"""Rules that every recipe is held against: conda-smithy's, as far as they need no network.

Source of each R-, R1- and RC- rule: conda-smithy, ``conda_smithy/linter/messages`` and
``lint_recipe.py`` (2026-08-08); its ids are kept. The A- rules are ours.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from ruamel.yaml import YAML

from generator.rendering import RenderedTree

Check = Callable[["RecipeFolder"], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class RecipeFolder:
    """A recipe as it is rendered."""

    #: ``recipes/2.10/pytorch``
    path: str
    text: str
    recipe: Mapping[str, Any]
    #: names of the files beside it
    files: frozenset[str]

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a mapping of the recipe, an empty one where there is none."""
        found = self.recipe.get(name)
        return found if isinstance(found, Mapping) else {}

    def requirements(self) -> Iterator[str]:
        """Yield every requirement of every kind, conditional ones too."""
        for key, value in self.section("requirements").items():
            if key != "run_exports":
                yield from _texts(value)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that a recipe has to be, why, and what to do where it is not."""

    id: str
    what: str
    why: str
    fix: str
    check: Check


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A rule of conda-smithy that recipes of repacked wheels do not keep, or only in letter."""

    id: str
    what: str
    how: str


@dataclass(frozen=True, kw_only=True)
class RuleFinding:
    """A recipe that breaks a rule."""

    rule: Rule
    where: str
    what: str


def recipe_files_of(tree: RenderedTree) -> dict[str, dict[str, bytes]]:
    """Return the files of every recipe folder, by folder and name."""
    found: dict[str, dict[str, bytes]] = {
        posixpath.dirname(variant.recipe_path): {} for variant in tree.variants
    }
    for path, content in tree.files.items():
        if (folder := posixpath.dirname(path)) in found:
            found[folder][posixpath.basename(path)] = content
    return found


def recipe_folder(path: str, files: dict[str, bytes]) -> RecipeFolder:
    """Read a recipe's files as the rules want them."""
    text = files["recipe.yaml"].decode("utf-8")
    return RecipeFolder(
        path=path, text=text, recipe=YAML(typ="safe", pure=True).load(text), files=frozenset(files)
    )


def judge(folders: Sequence[RecipeFolder]) -> tuple[RuleFinding, ...]:
    """Hold recipes against every rule."""
    return tuple(
        RuleFinding(rule=rule, where=folder.path, what=what)
        for folder in folders
        for rule in RULES
        for what in rule.check(folder)
    )


_ORDER: Final = (
    "schema_version",
    "context",
    "package",
    "source",
    "build",
    "requirements",
    "tests",
    "about",
    "extra",
)
_NEEDS: Final = ("build", "host", "run", "run_constraints", "run_exports")
_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]*")
_SPEC: Final = re.compile(r"[A-Za-z0-9_.-]+( [^\s]+( [^\s]+)?)?")
_TEMPLATE: Final = re.compile(r"\$\{\{.*?\}\}")
_WHEEL_URL: Final = re.compile(r"http\S*\.whl(\s|$)")
_FLOAT: Final = re.compile(r"^\s+(version|number): \d+\.\d+\s*$", re.MULTILINE)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in ("then", "else"):
            yield from _texts(value.get(key))
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)


def _sources(folder: RecipeFolder) -> Iterator[Mapping[str, Any]]:
    found: Any = folder.recipe.get("source") or []
    for row in found if isinstance(found, list) else [found]:
        for one in (row.get("then"), row.get("else")) if "if" in row else (row,):
            yield from one if isinstance(one, list) else [one] if one else []


def _order(of: Sequence[str], found: Mapping[str, Any]) -> Iterator[str]:
    keys = list(found)
    yield from (f"{key} is not a key of it" for key in keys if key not in of)
    known = [key for key in keys if key in of]
    if known != sorted(known, key=of.index):
        yield f"the order is {', '.join(known)}"


def _about(folder: RecipeFolder) -> Iterator[str]:
    for key in ("homepage", "license", "summary", "license_file"):
        if not folder.section("about").get(key):
            yield f"about has no {key}"


def _license(folder: RecipeFolder) -> Iterator[str]:
    text = str(folder.section("about").get("license", ""))
    try:
        canonical = canonicalize_license_expression(text)
    except InvalidLicenseExpression as error:
        yield f"{text!r}: {error}"
    else:
        if canonical != text:
            yield f"{text!r} is written {canonical!r}"


def _ends(folder: RecipeFolder) -> Iterator[str]:
    if not folder.text.endswith("\n") or folder.text.endswith("\n\n"):
        yield "it does not end in one line end"


def _name(folder: RecipeFolder) -> Iterator[str]:
    name = str(folder.section("package").get("name"))
    if not _NAME.fullmatch(name):
        yield f"{name!r} is no name"


def _maintainers(folder: RecipeFolder) -> Iterator[str]:
    found = folder.section("extra").get("recipe-maintainers")
    if not isinstance(found, list) or not found or not all(isinstance(n, str) for n in found):
        yield "extra.recipe-maintainers is no list of names"


def _hashes(folder: RecipeFolder) -> Iterator[str]:
    for row in _sources(folder):
        if not re.fullmatch(r"[0-9a-f]{64}", str(row.get("sha256", ""))):
            yield f"{row.get('path') or row.get('url')} has no sha256"


def _noarch(folder: RecipeFolder) -> Iterator[str]:
    kind = folder.section("build").get("noarch")
    if kind not in {None, "generic", "python"}:
        yield f"noarch is {kind!r}"
    if kind and folder.section("build").get("skip"):
        yield "a package for every platform skips some"


def _spacing(folder: RecipeFolder) -> Iterator[str]:
    for each in folder.requirements():
        if not _SPEC.fullmatch(_TEMPLATE.sub("x", each)):
            yield f"{each!r} is not name, version, build with one blank between"


def _pins(folder: RecipeFolder) -> Iterator[str]:
    own = folder.section("package").get("name")
    for name in re.findall(r"""pin_subpackage\(["'](.*?)["']""", folder.text):
        if name != own:
            yield f"pin_subpackage of {name}, which is another recipe's"
    for name in re.findall(r"""pin_compatible\(["'](.*?)["']""", folder.text):
        if name == own:
            yield f"pin_compatible of {name}, which is its own"


def _compilers(folder: RecipeFolder) -> Iterator[str]:
    if "compiler(" in folder.text and "stdlib(" not in folder.text:
        yield "it has compiler() without stdlib()"
    yield from (f"{each} is asked for" for each in folder.requirements() if "sysroot_" in each)


def _has(section: str, *keys: str) -> Check:
    def check(folder: RecipeFolder) -> Iterator[str]:
        value: Any = folder.recipe.get(section)
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None or value in ("", []):
            yield f"it has no {'.'.join((section, *keys))}"

    return check


def _without(pattern: str, what: str) -> Check:
    found = re.compile(pattern, re.MULTILINE)

    def check(folder: RecipeFolder) -> Iterator[str]:
        if found.search(folder.text):
            yield what

    return check


def _files(folder: RecipeFolder) -> Iterator[str]:
    recipes = folder.files & {"recipe.yaml", "meta.yaml"}
    if recipes != {"recipe.yaml"}:
        yield f"it has {', '.join(sorted(recipes))}"
    if {"variants.yaml", "conda_build_config.yaml"} <= folder.files:
        yield "it has two files of variants"
    if "bld.bat" in folder.files:
        yield "it has bld.bat"


def _rule(number: str, what: str, why: str, fix: str, check: Check) -> Rule:
    return Rule(id=number, what=what, why=why, fix=fix, check=check)


_TEMPLATES: Final = "mend templates/recipes"
RULES: Final[tuple[Rule, ...]] = (
    _rule("R-000", "top-level keys are known and in order", "people and bots look for them there",
          _TEMPLATES, lambda f: _order(_ORDER, f.recipe)),
    _rule("R-002", "about has homepage, license, license_file, summary",
          "channels and solvers show them", _TEMPLATES, _about),
    _rule("R-003", "extra.recipe-maintainers is a list of names", "somebody answers for it",
          "set maintainers in feedstock.yaml", _maintainers),
    _rule("R-005", "there are tests", "a package that was never installed is no package",
          _TEMPLATES, _has("tests")),
    _rule("R-007", "license is an SPDX expression", "licence scanners read it",
          "mend generator/data/licenses.yaml or the template", _license),
    _rule("R-008", "build.number is there", "caches go by file name", _TEMPLATES,
          _has("build", "number")),
    _rule("R-009", "requirements are in order: build, host, run, run_constraints",
          "diffs between feedstocks stay readable", _TEMPLATES,
          lambda f: _order(_NEEDS, f.section("requirements"))),
    _rule("R-011", "files end in one line end", "tools append to them",
          _TEMPLATES, _ends),
    _rule("R-014", "the name is a conda name", "CEP 26", _TEMPLATES, _name),
    _rule("R-015", "the version is there", "CEP 33", _TEMPLATES, _has("package", "version")),
    _rule("R-019", "each source has a sha256", "the same wheel means the same bytes",
          "run armtorch update", _hashes),
    _rule("R-020", "noarch is generic or python and skips nothing",
          "it is one package for all platforms", _TEMPLATES, _noarch),
    _rule("R-021", "requirements are name, version, build with one blank between",
          "solvers differ in what else they read", "mend generator/naming", _spacing),
    _rule("R-027", "pin_subpackage is of its own name, pin_compatible of another's",
          "rattler-build resolves them so", _TEMPLATES, _pins),
    _rule("R-028", "no address of a compiled wheel stands in it",
          "which wheel it is is its sha256; where it is had is configuration (decision D1)",
          _TEMPLATES, lambda f: iter(["a wheel's address"] if _WHEEL_URL.search(f.text) else [])),
    _rule("R-033", "compiler() comes with stdlib(), and no sysroot is named",
          "the floor of the C library would be guessed", _TEMPLATES, _compilers),
    _rule("R-040", "versions are quoted", "1.10 is not 1.1", _TEMPLATES,
          lambda f: iter(["a bare decimal number"] if _FLOAT.search(f.text) else [])),
    _rule("R-051", "one recipe, one file of variants, no bld.bat (R1-003)",
          "tools take the first they find", "delete the other", _files),
    _rule("R1-001", "selectors are if/then, not comments", "rattler-build does not read comments",
          _TEMPLATES, _without(r"#\s*\[(not )?(win|osx|linux|unix|aarch64|arm64)", "a selector")),
    _rule("R1-006", "SP_DIR is not set", "the client places site-packages (CEP 20)",
          _TEMPLATES, _without(r"^\s*(export )?SP_DIR=", "it sets SP_DIR")),
    _rule("A-001", "the digest of its inputs is in extra.armtorch",
          "render --check holds build numbers against it (decision D8)", "run armtorch render",
          _has("extra", "armtorch", "digest")),
)  # fmt: skip

DEVIATIONS: Final = (
    Deviation(id="R-028, R-029",
              what="no compiled wheel as a source",
              how="kept in letter only: sources are paths into the wheelhouse, and what lies there "
              "are PyPI's compiled wheels. These are repacked official binaries for a channel of "
              "one's own; conda-forge builds from source and would rightly not take them"),
    Deviation(id="R-023, R-024",
              what="python in host and in run",
              how="in run only: nothing is compiled, so there is no host environment, and "
              "python_abi says for which builds the package is"),
    Deviation(id="R-035",
              what="no __osx or __glibc written by hand",
              how="written, since there is no compiler whose run_exports would bring them: the "
              "floor is the highest of the wheel's tag and what its binaries need (decision D4)"),
    Deviation(id="R-004, CF-001 to CF-013",
              what="maintainers exist, feedstock names, bots",
              how="not judged here: they need GitHub, or hold for conda-forge's own feedstocks"),
    Deviation(id="R-031, R-032",
              what="licences of Rust and Go crates are bundled",
              how="nothing here is Rust or Go; what wheels bundle has its text in licenses/"),
)  # fmt: skip


def rules_markdown() -> str:
    """Return the table of docs/conda-smithy.md."""
    lines = ["| rule | a recipe | why | how it is met |", "|---|---|---|---|"]
    lines += [f"| {r.id} | {r.what} | {r.why} | checked by the tests |" for r in RULES]
    lines += [f"| {d.id} | {d.what} | | {d.how} |" for d in DEVIATIONS]
    return "\n".join(lines) + "\n"
