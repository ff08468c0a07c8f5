"""Commands as people type them, environment files, and other tools' messages."""

from __future__ import annotations

import pytest

from generator.errors import SelectionError
from generator.explaining import read_request
from generator.explaining.reading import Reader
from generator.explaining.request import Request

ENVIRONMENT = """\
name: torch
channels:
  - pytorch
  - nodefaults
dependencies:
  - python=3.9
  - pytorch >=2.0
  - pip:
      - transformers
"""


@pytest.mark.parametrize(
    ("line", "specs", "channels", "strict"),
    [
        ("conda install pytorch -c pytorch", ["pytorch"], ["pytorch", "conda-forge"], False),
        ("conda install -y -q -c a -c b x y", ["x", "y"], ["a", "b", "conda-forge"], False),
        ("conda install -ca x", ["x"], ["a", "conda-forge"], False),
        ("conda install --channel=a x", ["x"], ["a", "conda-forge"], False),
        ("conda install x -c a --override-channels", ["x"], ["a"], False),
        ("conda create -n e python=3.12 x", ["python=3.12", "x"], ["conda-forge"], False),
        ("conda install 'x>=2, <3'", ["x>=2,<3"], ["conda-forge"], False),
        ('conda install "pytorch=*=cuda*"', ["pytorch=*=cuda*"], ["conda-forge"], False),
        ("conda install a::x", ["a::x"], ["a", "conda-forge"], False),
        ("conda install --strict-channel-priority x", ["x"], ["conda-forge"], True),
        ("mamba install x # as the guide says", ["x"], ["conda-forge"], False),
        ("micromamba create -p ./e x -c a", ["x"], ["a", "conda-forge"], False),
        ("pixi add x y", ["x", "y"], ["conda-forge"], True),
        ("pixi add --feature gpu x", ["x"], ["conda-forge"], True),
        ("pixi global install x -c a", ["x"], ["a"], True),
        ("$ conda install x", ["x"], ["conda-forge"], False),
        ("(base) $ conda install x", ["x"], ["conda-forge"], False),
    ],
)
def test_commands(line, specs, channels, strict, tmp_path):
    found = read_request(line, folder=tmp_path)
    assert list(found.specs) == specs
    assert list(found.searched) == channels
    assert found.strict is strict


@pytest.mark.parametrize(
    "line",
    [
        "conda install pytorch torchvision -c pytorch",
        "conda create -n e python=3.9 pytorch -c a -c b --override-channels",
        "conda install 'pytorch=*=cuda*' 'x>=2,<3' --strict-channel-priority",
        "micromamba create -n e x -c a --platform linux-aarch64",
        "CONDA_SUBDIR=osx-arm64 conda create -n e x",
        "mamba install -n e x",
        "pixi add --platform linux-aarch64 x",
        "pixi global install -c a x",
    ],
)
def test_a_command_is_written_as_it_was_typed(line, tmp_path):
    assert read_request(line, folder=tmp_path).command() == line


def test_an_environment_file_by_path_and_in_a_command(tmp_path):
    (tmp_path / "environment.yml").write_text(ENVIRONMENT)
    for text in ("environment.yml", "conda env create -f environment.yml"):
        found = read_request(text, folder=tmp_path)
        assert found.specs == ("python=3.9", "pytorch>=2.0")
        assert found.searched == ("pytorch",)
        assert found.target == ("-n", "torch")
        assert found.command() == (
            "conda create -n torch python=3.9 'pytorch>=2.0' -c pytorch --override-channels"
        )


def test_a_file_of_specs(tmp_path):
    (tmp_path / "requirements.txt").write_text("pytorch=2.1  # the guide's\n\n# no\nnumpy\n")
    found = read_request("conda install --file requirements.txt", folder=tmp_path)
    assert found.specs == ("pytorch=2.1", "numpy")


CONDA = """\
(base) pi@raspberrypi:~ $ conda install torchaudio
PackagesNotFoundError: The following packages are not available from current channels:

  - torchaudio

Current channels:

  - https://conda.anaconda.org/conda-forge/linux-aarch64
"""


@pytest.mark.parametrize(
    ("text", "client", "specs", "channels"),
    [
        (CONDA, "conda", ["torchaudio"], ["conda-forge"]),
        (
            CONDA.replace("(base) pi@raspberrypi:~ $ conda install torchaudio\n", ""),
            "conda",
            ["torchaudio"],
            ["conda-forge"],
        ),
        (
            "ResolvePackageNotFound: \n  - pytorch==1.13.1\n  - torchvision\n",
            "conda",
            ["pytorch==1.13.1", "torchvision"],
            ["conda-forge"],
        ),
        (
            (
                "LibMambaUnsatisfiableError: Encountered problems while solving:\n"
                "  - nothing provides requested cpuonly\n"
            ),
            "conda",
            ["cpuonly"],
            ["conda-forge"],
        ),
        (
            (
                "error    libmamba Could not solve for environment specs\n"
                "    └─ pytorch-cuda 12.4** does not exist (perhaps a typo or a missing channel)."
            ),
            "mamba",
            ["pytorch-cuda=12.4"],
            ["conda-forge"],
        ),
        (
            (
                "Error: x failed\n  Cannot solve the request because of: No candidates were found "
                "for pytorch-cuda 12.4.*.\n"
            ),
            "pixi",
            ["pytorch-cuda=12.4"],
            ["conda-forge"],
        ),
    ],
)
def test_messages(text, client, specs, channels, tmp_path):
    found = read_request(text, folder=tmp_path)
    assert found.client == client
    assert list(found.specs) == specs
    assert list(found.searched) == channels
    assert found.origin == "error"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing to explain"),
        ("conda list", "not a command that installs"),
        ("conda install", "no package is asked for"),
        ("conda install -c", "-c takes a value"),
        ("conda install 'pytorch", "a quote is not closed"),
        ("conda install pytorch==", "not a package"),
        ("conda install --file nowhere.txt", "cannot be read"),
        ("mamba create -n x environment.yml", "a file, and no package"),
        ("mamba\n  └─ env_cpu.yaml   does not exist", "a file was taken for a package"),
        ("x\nCondaValueError: could not parse '- pytorch' in: env.yml", "a list of packages"),
        ("conda install pytorch*", "only exact package names are allowed"),
        ("nothing of\nthis is an error message", "neither a command"),
    ],
)
def test_what_cannot_be_read_says_why_and_gives_an_example(text, says, tmp_path):
    with pytest.raises(SelectionError) as found:
        read_request(text, folder=tmp_path)
    assert says in str(found.value)
    assert "next: " in str(found.value)


@pytest.mark.parametrize("content", ["- a\n- b\n", "dependencies: 3\n", "a: [\n", ""])
def test_a_file_that_is_no_environment(content, tmp_path):
    (tmp_path / "environment.yml").write_text(content)
    with pytest.raises(SelectionError):
        read_request("environment.yml", folder=tmp_path)


@pytest.mark.parametrize(
    "around",
    [
        "{}", "sudo -H -u me {}", "bash -lc 'cd x && {}'", 'su - me -c "{}"', "retry 3 {}",
        "if true; then {}; fi", "f() {{ {}; }}", "(cd x; {})", "yes | {} 2>&1 | tee log",
        'CMD="{}"', "docker run --rm image {}", "uv run {}", "ENTRYPOINT {}", "trap '{}' EXIT",
        "chroot /x {} || true",
    ],
)  # fmt: skip
def test_an_install_in_a_script_is_found_whatever_is_around_it(around, tmp_path):
    command = "conda install -n t pytorch==1.13.1"
    (tmp_path / "s.sh").write_text(f"{around.format(command)}\n")
    assert read_request("s.sh", folder=tmp_path).command() == command


@pytest.mark.parametrize(
    "line", ["echo 'conda install x'", "die 'please conda install x'", "ls  # conda install x"]
)
def test_what_a_script_only_says_is_no_install(line, tmp_path):
    (tmp_path / "s.sh").write_text(f"{line}\nconda install y\n")
    (step,) = Reader(folder=tmp_path, variables={}, subdir="linux-aarch64").read("s.sh")
    assert isinstance(step, Request)
    assert step.command() == "conda install y"
