"""How the command ends its process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

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


def test_ctrl_c_says_one_line_at_any_moment():
    """Also while the commands are still being loaded."""
    for pause in (0.3, 0.6, 1.2):
        child = subprocess.Popen(
            [sys.executable, "-c", WAITING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(pause)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=300)
        # click ends the line that has the terminal's ^C
        assert (child.returncode, said.strip().count("\n")) == (130, 0), said
        assert said.strip().startswith("error: stopped")


#: waits for what somebody pastes
WAITING = """
import sys
from generator.__main__ import main
sys.argv = ["armtorch", "explain", "-"]
print("begun", flush=True)
main()
"""
