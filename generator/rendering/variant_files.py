"""variants.yaml beside a recipe, and the variant configs of conda-smithy's kind in .ci_support."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Final

from generator.model import Variant
from generator.rendering.conditions import subdir_condition

_HEAD: Final = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/prefix-dev/"
    "recipe-format/main/variant_schema.json\n"
    "# Written by `armtorch render`: what there is, by conda-forge's variant keys.\n"
)
#: keys that tell variants of one recipe apart, in the order they stand
_KEYS: Final = (
    "python",
    "cuda_compiler",
    "cuda_compiler_version",
    "arm_variant_type",
    "pytorch",
    # in the hash of every package as soon as they are set, so both kinds of file have to set them
    "channel_sources",
    "channel_targets",
)
_PLAIN: Final = re.compile(r"[\w./][\w ./*:+,-]*")
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
    for subdir in sorted({variant.subdir for variant in variants}):
        here = [variant for variant in variants if variant.subdir == subdir]
        keys = used_keys(here)
        rows = {tuple(variant.config[key][0] for key in keys) for variant in here}
        values = [sorted({row[index] for row in rows}) for index in range(len(keys))]
        if rows != set(product(*values)):
            return (tuple(key for key, found in zip(keys, values, strict=True) if len(found) > 1),)
    return ()


def used_keys(variants: Sequence[Variant]) -> list[str]:
    """Return the keys that the recipe of these variants uses."""
    return [key for key in _KEYS if any(key in variant.config for variant in variants)]


def variants_text(variants: Sequence[Variant]) -> str:
    """Return variants.yaml for one recipe: every key with its values, per platform."""
    text = [_HEAD]
    zipped = zip_groups(variants)
    together = {key for group in zipped for key in group}
    subdirs = sorted({variant.subdir for variant in variants})
    for key in used_keys(variants):
        per_subdir = {
            subdir: _values(variants, subdir, key, keep=key in together) for subdir in subdirs
        }
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


def _values(variants: Sequence[Variant], subdir: str, key: str, *, keep: bool) -> tuple[str, ...]:
    found = [
        variant.config[key][0]
        for variant in variants
        if variant.subdir == subdir and key in variant.config
    ]
    return tuple(found) if keep else tuple(dict.fromkeys(found))


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
