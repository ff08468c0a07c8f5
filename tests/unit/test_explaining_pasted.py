"""What people paste: sessions, notebooks, builders' logs and other tools' messages."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from generator.errors import ArmtorchError, SelectionError
from generator.explaining import read_request
from tests.counts import count

ROWS = YAML(typ="safe").load(Path(__file__).parents[1] / "pasted.yaml")


@pytest.mark.parametrize("row", ROWS["lines"], ids=[row["line"] for row in ROWS["lines"]])
def test_a_command_as_it_stands_in_a_session(row, tmp_path):
    assert read_request(row["line"], folder=tmp_path).command() == row["command"]


@pytest.mark.parametrize("row", ROWS["messages"], ids=[row["name"] for row in ROWS["messages"]])
def test_a_message(row, tmp_path):
    found = read_request(row["text"], folder=tmp_path)
    assert found.command() == row["command"]
    assert list(found.searched) == row["asks"]
    assert found.subdir == row.get("subdir")
    assert list(found.beside) == row.get("beside", [])
    assert found.origin == "error"


@pytest.mark.parametrize("row", ROWS["messages"], ids=[row["name"] for row in ROWS["messages"]])
def test_a_saved_message_with_other_line_ends_is_read_alike(row, tmp_path):
    content = row["text"].replace("\r\n", "\n").replace("\n", "\r\n")
    (tmp_path / "message.txt").write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert read_request("message.txt", folder=tmp_path).command() == row["command"]


#: what typing, copying and other tools leave in texts
BITS = (
    *(
        "conda",
        "pixi",
        "install",
        "create",
        "-c",
        "-n",
        "--file",
        "-yp",
        "'",
        '"',
        "\\",
        "\n",
        "\r",
    ),
    *(
        "\x1b[31m",
        "\0",
        "&&",
        ";",
        "|",
        ">",
        "==",
        "*",
        "::",
        "[",
        "https://a:b@c/t/x/y",
        "└─",
        "é",
    ),
    *("CONDA_SUBDIR=", "CONDA_OVERRIDE_CUDA=", "PackagesNotFoundError\n", "  - ", "Channels:\n"),
    *("nothing provides requested ", "No candidates were found for ", "```\n", "$(", "#", "😀"),
)


def test_no_text_breaks_the_reader(tmp_path):
    """Mutated pastes are read or refused, and what is read is written so that it reads alike."""
    texts = [row["line"] for row in ROWS["lines"]] + [row["text"] for row in ROWS["messages"]]
    for seed in range(20 * count("fuzz")):
        chance = random.Random(seed)
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 6)):
            start = chance.randrange(len(text) + 1)
            end = start + chance.randint(0, 12)
            text = text[:start] + chance.choice(BITS) * chance.randint(0, 2) + text[end:]
        with suppress(SelectionError):
            found = read_request(text, folder=tmp_path)
            again = read_request(found.command(), folder=tmp_path)
            assert again.specs == found.specs, seed


def test_a_page_of_markdown(tmp_path):
    text = "I ran\n```\nconda install pytorch -c pytorch\n```\nand it failed:\n```\nno\n```\n"
    assert read_request(text, folder=tmp_path).command() == "conda install pytorch -c pytorch"


def test_variables_set_virtual_packages_and_the_subdir(tmp_path):
    line = "CONDA_OVERRIDE_CUDA=13.0 CONDA_SUBDIR=linux-aarch64 conda create -n x pytorch-gpu"
    found = read_request(line, folder=tmp_path)
    assert found.overrides == ("__cuda=13.0",)
    assert found.subdir == "linux-aarch64"


@pytest.mark.parametrize(
    ("line", "overrides"),
    [
        ("CONDA_OVERRIDE_CUDA= conda install x", ("__cuda=",)),
        (
            "CONDA_OVERRIDE_CUDA= CONDA_OVERRIDE_ARCHSPEC=cortex_a72 conda install x",
            ("__cuda=", "__archspec=1=cortex_a72"),
        ),
        ("CONDA_OVERRIDE_GLIBC=2.17 conda install x", ("__glibc=2.17",)),
    ],
)
def test_variables_are_written_as_they_were_typed(line, overrides, tmp_path):
    found = read_request(line, folder=tmp_path)
    assert found.overrides == overrides
    assert found.command() == line


def test_pixi_is_told_of_the_driver_in_its_workspace(tmp_path):
    found = read_request("CONDA_OVERRIDE_CUDA=12.6 pixi add x", folder=tmp_path)
    assert found.command() == (
        "pixi workspace system-requirements add cuda 12.6 && CONDA_OVERRIDE_CUDA=12.6 pixi add x"
    )


def test_conda_env_create_reads_environment_yml(tmp_path):
    (tmp_path / "environment.yml").write_text("name: e\ndependencies: [pytorch, pip]\n")
    found = read_request("conda env create", folder=tmp_path)
    assert found.command() == "conda create -n e pytorch pip"


def test_what_pypi_is_asked_for_is_no_request_to_channels(tmp_path):
    with pytest.raises(SelectionError, match="neither a command"):
        read_request("pixi add --pypi torch", folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("conda install https://host/c/linux-64/pytorch-2.5.1-0.conda", "a package's file"),
        ("conda install ./pytorch-2.5.1-0.tar.bz2", "name the package instead: pytorch"),
        ("conda install ''", "not a package"),
        ("environment.yaml", "there is no such file"),
        ("conda env create -f nowhere.yml", "run it in the folder of the file"),
        ("CondaHTTPError: HTTP 000\nElapsed: -\n", "paste the command above the message, too"),
        ("conda create -n x --clone y", "no package is asked for"),
    ],
)
def test_what_it_cannot_use_is_refused_with_a_next_step(text, says, tmp_path):
    with pytest.raises(SelectionError, match=r"next: ") as found:
        read_request(text, folder=tmp_path)
    assert says in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "conda install " + " ".join(f"package{number}" for number in range(200)),
        "conda " * 2000 + "install x",
        "$ " * 20000 + "conda install x",
        "- " * 20000 + "\nPackagesNotFoundError\n" + "\n".join(f"  - a{n}" for n in range(4000)),
        "│  " * 3000 + "└─ x =1 * does not exist (perhaps a typo\n" * 50,
        "'\"" * 3000 + " conda install x",
    ],
    ids=["long", "clients", "prompts", "list", "tree", "quotes"],
)
def test_long_texts_are_read_in_no_time(text, tmp_path):
    started = time.process_time()
    with suppress(SelectionError):
        assert read_request(text, folder=tmp_path).specs
    assert time.process_time() - started < 30


@pytest.mark.parametrize(
    "sign", [" ", "\n", "$(", "${a:-", "(", "`", "\x1b[", "- ", "a", "pip a; "]
)
def test_a_text_takes_no_longer_than_its_length(sign: str, tmp_path: Path) -> None:
    """Many of them took the square of it: 16 kB of blanks five seconds."""
    text = "conda install pytorch " + sign * (60_000 // len(sign))
    started = time.process_time()
    with suppress(ArmtorchError):
        read_request(text, folder=tmp_path)
    assert time.process_time() - started < 3
