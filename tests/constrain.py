"""Write constraints.txt: the newest versions of the test tools that a fresh environment gets.

Only what pyproject.toml's extras name: what those need in turn changes no verdict, and the newest
version is not there for every Python 3.11 (soupsieve 4 wants 3.11.5, Debian 12 has 3.11.2).
"""

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from generator.atomic import write_text

FILE = Path(__file__).with_name("constraints.txt")
HEAD = "# The versions `make test` runs with; `make constraints` takes the newest ones.\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "install", "--quiet", "--editable", f"{FILE.parent.parent}[test,lint]"],
            check=True,
        )
        frozen = subprocess.run(
            [*pip, "freeze", "--exclude-editable"], check=True, capture_output=True, text=True
        )
    project = tomllib.loads((FILE.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    tools = {
        canonicalize_name(Requirement(row).name)
        for rows in project["project"]["optional-dependencies"].values()
        for row in rows
    }
    rows = [
        row
        for row in frozen.stdout.splitlines()
        if canonicalize_name(row.partition("==")[0]) in tools
    ]
    write_text(FILE, HEAD + "\n".join(rows) + "\n")
    sys.stderr.write(f"{FILE}: {len(rows)} packages; run make test\n")


if __name__ == "__main__":
    main()
