"""pip's own configuration decides where the index called pip is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from generator.errors import FeedstockError
from generator.upstream.pip_configuration import parse_pip_configuration, read_pip_configuration
from generator.urls import public_url


def test_without_a_setting_it_is_the_librarys_own_constant() -> None:
    assert parse_pip_configuration("").indexes == (PYPI_SIMPLE_ENDPOINT,)


def test_environment_beats_section_beats_global() -> None:
    listing = (
        "global.index-url='https://global.invalid/simple'\n"
        "install.index-url='https://install.invalid/simple'\n"
        "download.index-url='https://download.invalid/simple'\n"
        "global.extra-index-url='https://a.invalid/s\\nfile:///b'\n"
        "global.cert='/ca.pem'\n:env:.cert='/env.pem'\n"
    )
    found = parse_pip_configuration(listing)
    assert found.indexes == ("https://install.invalid/simple", "https://a.invalid/s", "file:///b")
    assert found.cert == "/env.pem"


def test_no_index_is_said_not_ignored() -> None:
    with pytest.raises(FeedstockError, match="no index") as caught:
        parse_pip_configuration("global.no-index='true'\n")
    assert "feedstock" in caught.value.kind
    assert caught.value.next_step


def test_pip_itself_is_asked(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://user:secret@mirror.invalid/simple\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(config),
    }
    assert read_pip_configuration(environment).indexes[0] == (
        "https://user:secret@mirror.invalid/simple"
    )
    overridden = {**environment, "PIP_INDEX_URL": "https://other.invalid/simple"}
    assert read_pip_configuration(overridden).indexes[0] == "https://other.invalid/simple"


def test_without_pip_its_variables_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing-here" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = read_pip_configuration({"PIP_INDEX_URL": "https://only.invalid/simple"})
    assert found.indexes == ("https://only.invalid/simple",)


def test_credentials_are_never_printed() -> None:
    assert public_url("https://user:secret@mirror.invalid/simple/?token=t#sha256=1") == (
        "https://mirror.invalid/simple/"
    )
