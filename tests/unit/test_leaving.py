"""How the command ends its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from generator.urls import masked

#: a thread that no normal end of Python would leave behind, as rattler's own are
THREAD = """
import atexit, sys, threading, time
from generator.__main__ import main
atexit.register(print, "cleaned up")
threading.Thread(target=time.sleep, args=(3600,)).start()
sys.argv = ["armtorch", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["matrix", "--nonsense"], 2)])
def test_threads_of_libraries_do_not_hold_up_or_break_the_end(words, code):
    done = subprocess.run(
        [sys.executable, "-c", THREAD, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code
    assert done.stdout.endswith("cleaned up\n")


def test_nobody_takes_the_output():
    child = subprocess.Popen(
        [sys.executable, "-m", "generator", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.close()
    _, said = child.communicate(timeout=300)
    assert child.returncode == 1
    assert said == b""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-c https://me:pass@host/t/tk-1/chan x", "-c https://***@host/t/***/chan x"),
        ("https://host/t/tk-1/chan::x", "https://host/t/***/chan::x"),
        ("https://token@host/chan", "https://***@host/chan"),
        ("https://host/chan, a@b", "https://host/chan, a@b"),
        ("file:///t/chan", "file:///t/***"),
    ],
)
def test_passwords_and_tokens_are_hidden(text, shown):
    assert masked(text) == shown
