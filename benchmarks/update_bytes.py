"""A first `armtorch update`, nothing cached: bytes read against the bytes of the wheels."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from generator.console import Silent
from generator.project import Project
from generator.stages.update import update_lock


def main(feedstock: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(feedstock, folder))
        project = Project(feedstock=copy, narrator=Silent(), cache=Path(folder, "cache"))
        first = update_lock(project)
        wheels = {wheel.sha256: wheel.size for cell in first.lock.cells for wheel in cell.wheels}
        again = update_lock(project)
        print(
            json.dumps(
                {
                    "wheels": len(wheels),
                    "wheel_bytes": sum(wheels.values()),
                    "bytes_read": first.traffic.bytes,
                    "index_bytes": first.traffic.index_bytes,
                    "bytes_read_again": again.traffic.bytes,
                }
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
