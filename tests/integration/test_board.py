"""docs/armv7l.md's lines in a root of Debian's for armhf that has python3-venv and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.project import Project
from generator.stages.base import BaseOptions, make_bases
from generator.stages.update import update_lock
from tests.board import CONDA, CONDA_OF_DEBIAN, board, conda_wheels, on_board
from tests.conftest import missing
from tests.debian_base import ARM
from tests.forge.channel import default_cache
from tests.integration.test_debian_base import FEEDSTOCK, Said

pytestmark = [pytest.mark.integration, pytest.mark.emulated, pytest.mark.prove]

TWO_LINES = """\
cd /root
uname -m
python3 -m venv ~/client
~/client/bin/pip install --quiet py-rattler
~/client/bin/python /channel/install.py -c /channel -p ~/env python numpy
"""
INVERSE = """\
~/env/bin/python -c 'import numpy, sys; print(sys.prefix, numpy.linalg.inv(numpy.eye(2) * 4)[0, 0])'
"""
BY_CONDA = """\
~/client/bin/python -m conda create $only python
CONDA_SOLVER=classic ~/client/bin/python -m conda install $only numpy
"""


def _with_base(root: Path, folder: Path) -> Path:
    (folder / "feedstock.yaml").write_text(FEEDSTOCK)
    cache = default_cache().parent
    project = Project(feedstock=folder / "feedstock.yaml", narrator=Said(), cache=cache)
    update_lock(project)
    if ARM not in project.locked().base:
        missing("Debian cannot be asked here: apt, its keys, or a mirror are not there")
    make_bases(project, (), BaseOptions(channel=LocalChannel(root / "channel"), jobs=2, level=1))
    return root


def test_two_lines_install_from_the_channel_on_an_empty_debian(tmp_path: Path) -> None:
    root = _with_base(board(tmp_path / "root"), tmp_path)
    first, *_, last = on_board(root, TWO_LINES + INVERSE).splitlines()
    assert (first, last) == ("armv7l", "/root/env 0.25")


def test_conda_itself_installs_from_the_channel(tmp_path: Path) -> None:
    root = board(tmp_path / "root", *CONDA_OF_DEBIAN)
    conda_wheels(root, tmp_path)
    said = on_board(_with_base(root, tmp_path), CONDA + BY_CONDA + INVERSE)
    assert f"platform : {ARM}" in said
    assert said.splitlines()[-1] == "/root/env 0.25"
