"""A builder in a process of its own, to be killed or starved by tests.

``python -m tests.integration.builder <repo> <channel> [index|endless]``; prints what became of each
variant as JSON, or the kind of the error, with its exit code.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from generator.building import Settings
from generator.channel import LocalChannel
from generator.errors import ArmtorchError
from tests.tiny_recipes import BUILD, PYTHONS, TinyRepo, build_all

#: packages with content that does not compress, so that size limits bite
SCRIPT = BUILD.replace("bytes(2_000_000)", "__import__('random').Random(3).randbytes(2_000_000)")
#: for who wants to stop a build that is under way
ENDLESS = "import time\ntime.sleep(3600)\n"


def main() -> int:
    folder, channel = Path(sys.argv[1]), LocalChannel(Path(sys.argv[2]))
    repo = TinyRepo(folder / "repo", folder / "wheelhouse")
    try:
        if sys.argv[3:] != ["index"]:
            script = ENDLESS if sys.argv[3:] == ["endless"] else SCRIPT
            first, *rest = repo.add(build=script, pythons=PYTHONS)
            # as every pytorch needs its libtorch
            variants = [first, *(replace(each, depends=(first.id,)) for each in rest)]
            settings = Settings(repo=repo.root, wheelhouse=repo.wheelhouse, level=1, jobs=2)
            report = build_all(variants, channel=channel, settings=settings)
            print(json.dumps(report.to_json()))
            report.raise_for_failures()
        channel.index()
    except ArmtorchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
