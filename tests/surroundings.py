"""What the tests run in: the same, whatever started them and whoever's machine it is.

A variable, a dot file, a mask or a signal that is ignored comes to a test's processes by
inheritance, and changes what they do: a job in the background ignores Ctrl-C, `nohup` the end of
the terminal, and ~/.condarc names channels. What has to come through is how the network is reached.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from platformdirs import user_cache_path

#: variables that come through, beside the groups below
_KEPT: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SYSTEMROOT", "XDG_CACHE_HOME"),
        # how a run is asked to be
        *("CI", "ARMTORCH_TEST_COUNTS", "ARMTORCH_CLIENTS", "ARMTORCH_ATTESTED"),
        "ARMTORCH_ARMV7L_WHEELS",
        # the way to the network
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("NODE_EXTRA_CA_CERTS", "ARMTORCH_DEBIAN_MIRROR"),
        *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"),
        *("PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST"),
        *("PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_CACHE_DIR"),
    }
)
#: pytest's own, and proxies in either case
_KEPT_PARTS: Final = ("PYTEST_XDIST_", "PYTEST_CURRENT_TEST", "PYTEST_VERSION")
_SET: Final = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
#: where pip looks for what a person has set up, below their home
_PIP: Final = (".config/pip/pip.conf", ".pip/pip.conf", "Library/Application Support/pip/pip.conf")
#: what a shell or `nohup` may have had ignored
_SIGNALS: Final = ("SIGINT", "SIGQUIT", "SIGTERM")
#: open files: what Linux gives a login, and macOS a quarter of
_FILES: Final = 1024


def settle(config: pytest.Config) -> None:
    """Make this process's surroundings what every test and its processes are to inherit."""
    home = os.environ.get("HOME")
    if "PYTEST_XDIST_WORKER" not in os.environ and home:
        os.environ.update(_without_a_person(Path(home), os.environ))
        config.add_cleanup(lambda: shutil.rmtree(os.environ["HOME"], ignore_errors=True))
    for name in [name for name in os.environ if not _kept(name)]:
        del os.environ[name]
    for name in ("COLUMNS", "LINES"):
        os.unsetenv(name)  # readline sets them behind Python's back, and pytest imports it
    os.environ.update(_SET)
    os.umask(0o022)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))
    for name in _SIGNALS:
        _be_deaf_alone(getattr(signal, name))


@contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """Let processes that are started here hear a signal that this one was started deaf to."""
    before = signal.getsignal(number)
    _be_deaf_alone(number)
    try:
        yield
    finally:
        signal.signal(number, before)


def _be_deaf_alone(number: signal.Signals) -> None:
    # what is ignored stays so in a new program; a function cannot, and is the default there (exec)
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def _kept(name: str) -> bool:
    return name in _KEPT or name.startswith(_KEPT_PARTS) or name.upper().endswith("_PROXY")


def _without_a_person(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return an empty home, with the caches and the way to the index of the real one."""
    found = {"XDG_CACHE_HOME": str(user_cache_path())}
    if "PIP_CONFIG_FILE" not in environment:
        file = next((home / name for name in _PIP if (home / name).is_file()), None)
        found |= {"PIP_CONFIG_FILE": str(file)} if file else {}
    return found | {"HOME": tempfile.mkdtemp(prefix="armtorch-home-")}
