"""Write constraints.txt: the newest versions that an environment of its own gets."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

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
    write_text(FILE, HEAD + frozen.stdout)
    sys.stderr.write(f"{FILE}: {len(frozen.stdout.splitlines())} packages; run make test\n")


if __name__ == "__main__":
    main()
