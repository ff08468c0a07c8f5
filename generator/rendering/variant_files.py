"""variants.yaml beside a recipe, and the variant configs of conda-smithy's kind in .ci_support."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

from generator.model import Variant
from generator.rendering.conditions import subdir_condition

_HEAD: Final = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/prefix-dev/"
    "recipe-format/main/variant_schema.json\n"
)
_SUBDIR: Final = "target_platform"
#: keys that tell variants of one recipe apart, in the order they stand
_KEYS: Final = (
    "python",
    "cuda_compiler",
    "cuda_compiler_version",
    "arm_variant_type",
    "pytorch",
    # which build of a choice: conda-forge has no such packages, and so no key for them
    "taken",
    # in the hash of every package as soon as it is set, so both kinds of file have to set it
    "channel_targets",
)
#: the base, which no recipe's hash has: rattler-build takes one that is named, or `--channel`
_BASE: Final = "channel_sources"
_PLAIN: Final = re.compile(r"[\w./][\w ./*:+,-]*")
#: beside them in an exported feedstock: conda-forge-pinning zips python with the first, and
#: conda-smithy keeps the second only where the recipe's own variants name it
_EXPORTED: Final = (_BASE, "is_python_min", "github_actions_labels")
#: plain scalars that YAML 1.1 reads as something else than a text
_SPECIAL: Final = re.compile(
    r"null|true|false|yes|no|on|off|y|n|[\d._]+(e[-+]?\d+)?|\d+(:\d+)+(\.\d*)?", re.IGNORECASE
)


def scalar(value: str) -> str:
    """Write a text as YAML would: plain where it stays that text, else in single quotes.

    >>> scalar("3.12.* *_cpython"), scalar("None"), scalar("12.9"), scalar("conda-forge")
    ('3.12.* *_cpython', 'None', "'12.9'", 'conda-forge')

    """
    plain = (
        _PLAIN.fullmatch(value)
        and not _SPECIAL.fullmatch(value)
        and ": " not in value
        and not value.endswith((":", " "))
    )
    return value if plain else "'" + value.replace("'", "''") + "'"


def zip_groups(variants: Sequence[Variant]) -> tuple[tuple[str, ...], ...]:
    """Return the keys that go together row by row: none where every combination exists."""
    missing = [set(row) for row in _not_there(variants)]
    for subdir in sorted({subdir for row in missing for key, subdir in row if key == _SUBDIR}):
        here = [variant for variant in variants if variant.subdir == subdir]
        return (tuple(key for key in used_keys(here) if len(_values(here, subdir, key)) > 1),)
    return ()


def skipped(variants: Sequence[Variant]) -> list[str]:
    """Return what a recipe skips whose variants are every combination, as an exported one's are.

    conda-build joins zip_keys, and conda-forge-pinning has python in one of its own, so an exported
    feedstock cannot have another: what is not there is skipped, as in conda-forge's feedstocks.
    """
    return [
        " and ".join(f'{key} == "{value}"' for key, value in row) for row in _not_there(variants)
    ]


def _not_there(variants: Sequence[Variant]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield each combination of a platform's values that is no variant, as keys and values."""
    for subdir in sorted({variant.subdir for variant in variants}):
        here = [variant for variant in variants if variant.subdir == subdir]
        values = {key: _values(here, subdir, key) for key in used_keys(here)}
        keys = [key for key, found in values.items() if len(found) > 1]
        rows = {tuple(variant.config[key][0] for key in keys) for variant in here}
        for row in product(*(values[key] for key in keys)):
            if row not in rows:
                yield ((_SUBDIR, subdir), *zip(keys, row, strict=True))


def used_keys(variants: Sequence[Variant]) -> list[str]:
    """Return the keys that the recipe of these variants uses."""
    return [key for key in _KEYS if any(key in variant.config for variant in variants)]


def variants_text(variants: Sequence[Variant], *, exported: bool = False) -> str:
    """Return variants.yaml for one recipe: every key with its values, per platform.

    ``exported``: for `conda-smithy rerender` with conda-forge-pinning's conda_build_config.yaml.
    """
    text = [_HEAD]
    zipped = () if exported else zip_groups(variants)
    together = {key for group in zipped for key in group}
    subdirs = sorted({variant.subdir for variant in variants})
    for key in (*used_keys(variants), *(_EXPORTED if exported else ())):
        per_subdir = {
            subdir: _values(variants, subdir, key, keep=key in together) for subdir in subdirs
        }
        if not any(per_subdir.values()):
            continue
        text.append(f"{key}:\n")
        if len(set(per_subdir.values())) == 1:
            text += [f"  - {_text(value)}\n" for value in per_subdir[subdirs[0]]]
            continue
        for subdir, values in per_subdir.items():
            text.append(f"  - if: {subdir_condition(subdir, set(subdirs))}\n    then:\n")
            text += [f"      - {_text(value)}\n" for value in values]
    if zipped:
        text.append("zip_keys:\n")
        text += [f"  - [{', '.join(group)}]\n" for group in zipped]
    return "".join(text)


def _text(value: str) -> str:
    """Write a variant value so that it stays a text: rattler-build compares texts."""
    return '"' + value + '"'


def _values(
    variants: Sequence[Variant], subdir: str, key: str, *, keep: bool = False
) -> tuple[str, ...]:
    if key == "is_python_min":
        pythons = _values(variants, subdir, "python")
        return tuple("true" if python == pythons[0] else "false" for python in pythons)
    found = [
        variant.config[key][0]
        for variant in variants
        if variant.subdir == subdir and key in variant.config
    ]
    return tuple(found) if keep else tuple(dict.fromkeys(found))


def ci_support_files(variants: Sequence[Variant]) -> dict[str, bytes]:
    """Return the variant configs by path: each with the keys of all variants that share it."""
    configs: dict[str, Variant] = {}
    for variant in variants:
        path = variant.config_path
        known = configs.setdefault(path, variant)
        configs[path] = replace(known, config={**known.config, **variant.config})
    by_folder: dict[str, list[Variant]] = {}
    for path, variant in configs.items():
        by_folder.setdefault(posixpath.dirname(path), []).append(variant)
    zipped = {folder: zip_groups(together) for folder, together in by_folder.items()}
    return {
        path: ci_support_text(variant, zipped[posixpath.dirname(path)]).encode("utf-8")
        for path, variant in configs.items()
    }


def ci_support_text(variant: Variant, zipped: tuple[tuple[str, ...], ...]) -> str:
    """Return a variant config as conda-smithy writes it: sorted keys, one value each.

    Source: conda-smithy, configure_feedstock.py, ``finalize_config`` and ``dump_subspace_config``.
    """
    config: dict[str, list[str]] = {
        key: [f"- {scalar(value)}" for value in values] for key, values in variant.config.items()
    }
    groups = [[key for key in sorted(group) if key in variant.config] for group in zipped]
    if any(groups):
        config["zip_keys"] = [
            f"{'- - ' if index == 0 else '  - '}{key}"
            for group in groups
            for index, key in enumerate(group)
        ]
    return "".join(
        f"{key}:\n" + "".join(f"{line}\n" for line in config[key]) for key in sorted(config)
    )
