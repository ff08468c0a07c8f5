"""Installs conda packages on a board that no conda client is made for, by py-rattler alone.

    python3 -m venv client && client/bin/pip install py-rattler
    client/bin/python install.py -c CHANNEL --prefix env python numpy

With the same prefix again it adds to what is there. docs/armv7l.md
"""

import argparse
import ast
import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path

from rattler import Channel, MatchSpec, PrefixRecord, Subdir, VirtualPackage, install, solve
from rattler.exceptions import (
    GatewayError,
    InstallerError,
    InvalidChannelError,
    InvalidMatchSpecError,
    SolverError,
)

#: before what was asked for, in conda's note of it
_ASKED = "# update specs: "
_SAID = (GatewayError, InstallerError, InvalidChannelError, InvalidMatchSpecError, SolverError)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Installs conda packages into a folder.")
    parser.add_argument("specs", nargs="+", metavar="PACKAGE", help="pytorch, numpy=2.2, ...")
    parser.add_argument(
        "-c", "--channel", action="append", required=True, help="URL or folder; the first one wins"
    )
    parser.add_argument("-p", "--prefix", type=Path, required=True, help="folder to install into")
    parser.add_argument("--subdir", default=own_subdir(), help="instead of this machine's")
    parser.add_argument("--dry-run", action="store_true", help="say what would be there, and stop")
    return parser.parse_args()


def own_subdir() -> str:
    """Name this machine's subdir; py-rattler's wheel for ARMv7 takes itself for one for ARMv6."""
    found = str(Subdir.current())
    newer = found == "linux-armv6l" and os.uname().machine != "armv6l"
    return "linux-armv7l" if newer else found


def there(prefix: Path) -> list[PrefixRecord]:
    """Read what is installed in a prefix."""
    return [PrefixRecord.from_path(path) for path in sorted(prefix.glob("conda-meta/*.json"))]


def asked_before(history: Path) -> list[str]:
    """Read what was asked for in earlier runs."""
    lines = history.read_text().splitlines() if history.is_file() else []
    marked = [line.removeprefix(_ASKED) for line in lines if line.startswith(_ASKED)]
    return [spec for line in marked for spec in ast.literal_eval(line)]


def address(channel: str) -> Channel:
    """Take a folder for a channel, too."""
    folder = Path(channel)
    return Channel(folder.resolve().as_uri() if folder.is_dir() else channel)


async def run(wanted: argparse.Namespace) -> None:
    """Solve with what is there, and install."""
    installed, history = there(wanted.prefix), wanted.prefix / "conda-meta/history"
    records = await solve(
        [address(each) for each in wanted.channel],
        [MatchSpec(spec) for spec in dict.fromkeys([*asked_before(history), *wanted.specs])],
        platforms=[Subdir(wanted.subdir), Subdir("noarch")],
        locked_packages=installed,
        virtual_packages=[each.into_generic() for each in VirtualPackage.detect()],
    )
    for record in sorted(records, key=lambda each: each.name.normalized):
        print(f"{record.name.normalized:<24}{record.version!s:<16}{record.build}")
    if wanted.dry_run:
        return
    await install(
        records,
        target_prefix=wanted.prefix,
        installed_packages=installed,
        platform=Subdir(wanted.subdir),
    )
    now = datetime.now().astimezone()
    with history.open("a") as file:
        file.write(f"==> {now:%Y-%m-%d %H:%M:%S} <==\n{_ASKED}{wanted.specs!r}\n")
    print(f"\nrun it: {wanted.prefix.resolve()}/bin/python")


if __name__ == "__main__":
    try:
        asyncio.run(run(parsed()))
    except (*_SAID, OSError) as error:
        sys.exit(f"error: {error}")
