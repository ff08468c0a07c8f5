"""What wheels call their licences, and what becomes of those that nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression

from generator.inspecting.read_wheel import pattern
from generator.model import Metadata
from generator.naming import Licence, licence_of
from generator.naming.licensing import license_names
from generator.rendering.layout import layouts
from generator.rendering.licenses import license_note
from generator.upstream.core_metadata import license_files
from tests.counts import count
from tests.unit.wheel_metadata import wheel_metadata


def licence(text: str, project: str = "elsewhere") -> Licence:
    return licence_of(Metadata(name=project, version="1.0", license=text))


@pytest.mark.parametrize(
    ("wheel", "expression"),
    [
        ("torch-2.10.0-cp311-cp311-manylinux_2_28_aarch64", "BSD-3-Clause"),
        ("torchvision-0.25.0-cp310-cp310-manylinux_2_28_aarch64", "BSD-3-Clause"),
        ("torchaudio-2.11.0-cp310-cp310-manylinux_2_28_aarch64", "BSD-2-Clause"),
    ],
)
def test_real_wheels(wheel, expression):
    assert licence_of(wheel_metadata(wheel)) == Licence(expression=expression)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        ("mit license", "MIT"),
        ("MIT License", "MIT"),  # triton 3.6.0
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("MIT License AND Apache 2.0", "MIT AND Apache-2.0"),
        ("(3-Clause BSD License or GPLv2+)", "BSD-3-Clause OR GPL-2.0-or-later"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
        # the tails of classifiers
        ("Apache Software License", "Apache-2.0"),
        ("ISC License (ISCL)", "ISC"),
        # an author's own reference is one (SPDX 2.3, annex D)
        ("LicenseRef-Proprietary", "LicenseRef-Proprietary"),
    ],
)
def test_other_words_for_it(text, expression):
    assert licence(text) == Licence(expression=expression)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("BSD", "LicenseRef-elsewhere-BSD"),  # any of three
        (
            "MIT License; Apache Software License",
            "LicenseRef-elsewhere-MIT-License-Apache-Software-License",
        ),
        ("NVIDIA Proprietary Software", "LicenseRef-elsewhere-NVIDIA-Proprietary-Software"),
        ("", "LicenseRef-elsewhere"),
        (
            "Permission is granted ...\nto do this",
            "LicenseRef-elsewhere-Permission-is-granted-...-to-do-this",
        ),
    ],
)
def test_what_nobody_knows_is_a_reference_and_no_stop(text, expression):
    assert licence(text) == Licence(expression=expression, unknown=text or "nothing")


def test_a_row_overrules_what_means_several():
    assert licence("BSD", "torchvision").expression == "BSD-3-Clause"
    assert licence("Terms 3", "torchvision").expression == "LicenseRef-torchvision-Terms-3"


@settings(max_examples=count("fuzz"), deadline=None)
@example("(AND()")
@example("( and + LicenseRef-x +")
@given(
    st.text()
    | st.from_regex(r"(MIT|AND|and|OR|WITH|BSD|LicenseRef-x|[()+/,;]| ){0,14}", fullmatch=True)
)
def test_any_text_gives_an_expression_that_spdx_accepts(text):
    expression = licence(text).expression
    assert canonicalize_license_expression(expression) == expression


def test_no_name_means_two_licences_or_another_ones_identifier():
    names = license_names().names
    every = [name.lower() for those in names.values() for name in those]
    assert len(set(every)) == len(every)
    assert not set(every) & {identifier.lower() for identifier in names}


def test_a_wheel_without_a_licence_text_says_so():
    metadata = Metadata(name="torchvision", version="0.15.2", license="BSD", home="https://x.org")
    assert license_note(metadata).splitlines() == [
        "The wheel of torchvision 0.15.2 carries no licence text.",
        "Its METADATA states: BSD",
        "In SPDX's words (https://spdx.org/licenses): BSD-3-Clause",
        "Upstream: https://x.org",
    ]


def test_every_licence_text_that_the_lock_names_is_packaged():
    named = [
        *("LICENSE", "LICENCE.txt", "COPYING", "NOTICE.md", "license", "licence", "copying.txt"),
        "licenses/a/b.txt",
    ]
    members = [f"x-1.dist-info/{name}" for name in [*named, "METADATA", "AUTHORS"]]
    found = license_files(members)
    assert set(found) == {f"x-1.dist-info/{name}" for name in named}
    globs = [pattern(glob) for glob in layouts().licenses]
    assert all(any(glob.fullmatch(member) for glob in globs) for member in found)
