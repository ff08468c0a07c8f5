"""METADATA and entry_points.txt, true and broken."""

from __future__ import annotations

import pytest

from generator.errors import MalformedError
from generator.upstream.core_metadata import parse_console_scripts, parse_metadata
from generator.upstream.offers import Offer, parse_offer


def offer(filename: str = "torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl") -> Offer:
    made = parse_offer(filename, index="i", url="u", sha256=None, size=None)
    assert made is not None
    return made


HEAD = "Metadata-Version: 2.1\nName: torch\nVersion: 2.10.0\n"


def test_what_upstream_writes_is_read() -> None:
    text = HEAD + (
        "Summary: Tensors\nLicense: BSD-3-Clause\nRequires-Python: >=3.10\n"
        "Project-URL: Homepage, https://pytorch.org\n"
        "Requires-Dist: torch (>=2.14.0)\nRequires-Dist: numpy\nRequires-Dist: numpy\n"
        "Requires-Dist: gdown (>=4.7.3) ; extra == 'gdown'\n\nlong text\n"
    )
    found = parse_metadata(
        text.encode(),
        offer(),
        [
            "torch/LICENSE",
            "torch-2.10.0.dist-info/LICENSE",
            "torch-2.10.0.dist-info/licenses/third_party/x/LICENSE-extra",
            "torch-2.10.0.dist-info/METADATA",
        ],
    )
    assert found.requires_dist == ("torch>=2.14.0", "numpy", 'gdown>=4.7.3; extra == "gdown"')
    assert (found.license, found.home, found.requires_python) == (
        "BSD-3-Clause",
        "https://pytorch.org",
        ">=3.10",
    )
    assert found.license_files == (
        "torch-2.10.0.dist-info/LICENSE",
        "torch-2.10.0.dist-info/licenses/third_party/x/LICENSE-extra",
    )


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        ("License-Expression: Apache-2.0 AND MIT\n", "Apache-2.0 AND MIT"),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License\n", "BSD"),
        ("Classifier: License :: OSI Approved :: BSD License\n", "BSD License"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: BSD License\n", "BSD License"),
        ("License: UNKNOWN\n", ""),
        ("", ""),
    ],
)
def test_where_the_licence_stands(lines: str, licence: str) -> None:
    head = HEAD.replace("2.1\n", "2.4\n", 1) if "Expression" in lines else HEAD
    assert parse_metadata((head + lines).encode(), offer()).license == licence


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>404</html>",
        b"Name: torch\n",
        HEAD.encode() + b"Requires-Dist: torch >< 3\n",
        HEAD.encode() + b"Requires-Python: three\n",
        HEAD.replace("2.10.0", "two").encode(),
        HEAD.replace("2.10.0", "2.9.0").encode(),
        HEAD.replace("torch", "tensorflow").encode(),
    ],
)
def test_what_is_not_core_metadata_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedError, match=r"METADATA") as caught:
        parse_metadata(text, offer())
    assert "torch-2.10.0" in caught.value.where
    assert caught.value.next_step


def test_console_scripts_are_sorted_and_keep_their_case() -> None:
    text = (
        b"[console_scripts]\ntorchrun = torch.distributed.run:main\nA-b=x:Y\n"
        b"[torchrun.logs_specs]\ndefault = torch:D\n"
    )
    assert parse_console_scripts(text, "w") == (
        "A-b = x:Y",
        "torchrun = torch.distributed.run:main",
    )
    assert parse_console_scripts(b"", "w") == ()


@pytest.mark.parametrize(
    "text",
    [
        b"torchrun = x:y\n",
        b"[console_scripts]\nnothing\n",
        b"[console_scripts]\na = b\na = c\n",
        b"\xff",
    ],
)
def test_broken_entry_points_are_malformed(text: bytes) -> None:
    with pytest.raises(MalformedError, match="entry_points"):
        parse_console_scripts(text, "w")
