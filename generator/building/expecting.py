"""What rattler-build and the seal write below a package's ``info/`` for a variant, to the byte.

It is computed from the rendered recipe alone, without building anything (decision D16). The forms
are CEP 34's as rattler-build writes them; ``paths.json`` and ``armtorch/`` are about files, and are
remade from RECORD by ``generator/inspecting/remaking.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from rattler_build import RenderedVariant

from generator.building.policy import policy
from generator.building.recipe import evaluate, file_name_of
from generator.building.rendered import FOLDERS, neutral, yaml_text
from generator.model import RaisedFloor, Variant
from generator.model.provenance import Provenance

#: fields of recipe.yaml's ``about`` -> those of info/about.json (CEP 13, CEP 34)
_ABOUT: Final = {
    "repository": "dev_url",
    "documentation": "doc_url",
    "homepage": "home",
    "license": "license",
    "summary": "summary",
    "description": "description",
}
#: a recipe's licence text that is not out of a wheel
_LICENSE: Final = "LICENSE"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A package as the lock renders it, as far as that does not depend on what its wheel holds."""

    variant: Variant
    #: the files of its recipe folder
    recipe: Mapping[str, bytes]
    rendered: RenderedVariant
    provenance: Provenance | None = None

    @classmethod
    def of(
        cls,
        variant: Variant,
        recipe: Mapping[str, bytes],
        config: bytes,
        provenance: Provenance | None = None,
    ) -> Expected:
        """Evaluate a recipe; raises BuildError as that does."""
        rendered = evaluate(variant, recipe["recipe.yaml"].decode(), config.decode())
        return cls(variant=variant, recipe=recipe, rendered=rendered, provenance=provenance)

    @property
    def file_name(self) -> str:
        """``<name>-<version>-<build>.conda``."""
        return file_name_of(self.rendered)

    @property
    def milliseconds(self) -> int:
        """The package's timestamp."""
        return policy().seal.timestamp(self.variant.wheels)

    @property
    def depends(self) -> tuple[str, ...]:
        """What the recipe states that it needs, MatchSpecs."""
        return tuple(self._recipe.get("requirements", {}).get("run", ()))

    def info(self, floor: RaisedFloor | None = None) -> dict[str, bytes]:
        """Return every metadata file that does not depend on the wheel's content, by path.

        ``floor`` is what a binary of the package needs beyond what the recipe states.
        """
        return {**self._files, "info/index.json": _json(self.index(floor))}

    @cached_property
    def _recipe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.rendered.recipe.to_dict()
        return found

    @cached_property
    def _files(self) -> Mapping[str, bytes]:
        """Every file but index.json."""
        recipe = self._recipe
        exports = _run_exports(recipe, str(recipe["build"]["string"]))
        found = {
            "info/about.json": _json(self._about(recipe)),
            "info/hash_input.json": json.dumps(self._inputs, ensure_ascii=False).encode(),
            "info/tests/tests.yaml": yaml_text(_tests(recipe)),
            "info/recipe/variant_config.yaml": yaml_text(self._inputs),
            "info/recipe/rendered_recipe.yaml": yaml_text(self._document(recipe, exports)),
            **{f"info/recipe/{name}": content for name, content in self.recipe.items()},
        }
        if exports:
            found["info/run_exports.json"] = _json(exports)
        python: dict[str, Any] = recipe["build"].get("python", {})
        if python.get("version_independent") or recipe["build"].get("noarch") == "python":
            points = {key: python[key] for key in ("entry_points",) if key in python}
            link = {"noarch": {"type": "python", **points}, "package_metadata_version": 1}
            found["info/link.json"] = _json(link)
        if recipe["about"].get("license_file") == [_LICENSE]:
            found[f"info/licenses/{_LICENSE}"] = self.recipe[_LICENSE]
        return found

    @property
    def _inputs(self) -> dict[str, str]:
        """The variant keys that count, which the hash in the build string is of."""
        return {key: str(value) for key, value in sorted(self.rendered.variant.items())}

    def index(self, floor: RaisedFloor | None = None) -> dict[str, object]:
        """Return what info/index.json holds."""
        recipe = self._recipe
        build, wanted = recipe["build"], recipe.get("requirements", {})
        subdir = self.variant.subdir
        system, _, machine = subdir.partition("-")
        python: Mapping[str, Any] = build.get("python", {})
        name: str = recipe["package"]["name"]
        depends = list(wanted.get("run", []))
        down: int = build.get("variant", {}).get("down_prioritize_variant", 0)
        found = {
            "arch": machine or None,
            "build": build["string"],
            "build_number": build.get("number", 0),
            "constrains": list(wanted.get("run_constraints", [])) or None,
            "depends": depends if floor is None else list(floor.raise_in(depends)),
            "license": recipe["about"]["license"],
            "name": name,
            "noarch": "python" if python.get("version_independent") else build.get("noarch"),
            "platform": None if subdir == "noarch" else system,
            "purls": list(self.variant.purls) or None,
            "subdir": subdir,
            "timestamp": self.milliseconds,
            "track_features": " ".join(f"{name}-p-{number}" for number in range(down)) or None,
            "version": str(recipe["package"]["version"]),
        }
        return {key: value for key, value in found.items() if value is not None}

    def _about(self, recipe: Mapping[str, Any]) -> dict[str, object]:
        about = recipe["about"]
        found = {new: about[old] for old, new in _ABOUT.items() if about.get(old)}
        stated = self.provenance.fields() if self.provenance is not None else {}
        extra = dict(sorted({**recipe.get("extra", {}), **stated}.items()))
        return dict(sorted({**found, "extra": extra}.items()))

    def _document(self, recipe: dict[str, Any], exports: Mapping[str, Any]) -> dict[str, object]:
        """Return the rendered recipe as the seal leaves it."""
        wanted, build = recipe.get("requirements", {}), recipe["build"]
        name, version = recipe["package"]["name"], str(recipe["package"]["version"])
        target = self.rendered.variant.get("target_platform", self.variant.subdir)
        still = neutral(str(target), milliseconds=self.milliseconds)
        info = self.rendered.hash_info
        prefix = {"prefix": info.prefix} if info is not None and info.prefix else {}
        own = {"name": name, "version": version, "build_string": build["string"]}
        run: dict[str, object] = {
            "depends": [{"source": spec} for spec in wanted.get("run", [])],
            "constraints": [{"source": spec} for spec in wanted.get("run_constraints", [])],
        }
        if exports:
            run["run_exports"] = dict(exports)
        return {
            "recipe": recipe,
            "build_configuration": {
                "target_platform": str(target),
                "host_platform": still["host_platform"],
                "build_platform": still["build_platform"],
                "variant": self._inputs,
                "hash": {"hash": _hash(self._inputs), **prefix},
                "directories": dict(FOLDERS),
                "channels": [],
                "channel_priority": "strict",
                "solve_strategy": "highest",
                "timestamp": still["timestamp"],
                "subpackages": {name: own},
                "packaging_settings": still["packaging_settings"],
            },
            "finalized_dependencies": {"build": None, "host": None, "run": run},
            "finalized_sources": recipe.get("source", []),
            "system_tools": {},
        }


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _hash(inputs: Mapping[str, str]) -> str:
    """Return rattler-build's hash of a variant (``HashInfo``: sha1, seven digits)."""
    text = json.dumps(inputs, ensure_ascii=False).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()[:7]


def _run_exports(recipe: Mapping[str, Any], build: str) -> dict[str, list[str]]:
    """Return what packages that are built with this one get, its pins made out."""
    wanted: Mapping[str, list[Any]] = recipe.get("requirements", {}).get("run_exports", {})
    version = str(recipe["package"]["version"])
    return {
        kind: [each if isinstance(each, str) else _pinned(each, version, build) for each in specs]
        for kind, specs in wanted.items()
    }


def _pinned(spec: Mapping[str, Any], version: str, build: str) -> str:
    """Return a pin of this package itself as a MatchSpec (CEP 14, ``pin_subpackage``)."""
    pin = spec["pin_subpackage"]
    if pin.get("exact"):
        return f"{pin['name']} =={version} {build}"
    kept = version.split(".")[: pin["upper_bound"].count("x")]
    upper = ".".join((*kept[:-1], str(int(kept[-1]) + 1)))
    return f"{pin['name']} >={version},<{upper}.0a0"


def _tests(recipe: Mapping[str, Any]) -> list[object]:
    """Return the tests as they run from the package; lists of its contents ran at the build."""
    name, found = recipe["package"]["name"], list[object]()
    for number, test in enumerate(recipe.get("tests", [])):
        # several lines without files of their own stay what they are
        if isinstance(test.get("script"), str) or ("script" in test and test.get("files")):
            where = {"cwd": f"etc/conda/test-files/{name}/{number}"} if test.get("files") else {}
            found.append({**test, "script": {"content": test["script"], **where}})
        elif "package_contents" not in test:
            found.append(test)
    return found
