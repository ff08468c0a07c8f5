"""The source of one row, verified, unpacked and patched; only equal inputs share its folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from generator.atomic import write_text
from generator.compiling.apt import Apt, keeps
from generator.compiling.root import Root
from generator.compiling.running import run
from generator.errors import BuildError, FeedstockError
from generator.feedstock import Source

#: one more whenever what is made of the same row changes
_FORMAT: Final = 1
#: where the tree lies in the root
INSIDE: Final = "/armtorch"
_LOST: Final = (
    "put a file of that name and sha256 there: archives keep what their registry has dropped"
)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One source tree; everything that is compiled of it lies in it."""

    folder: Path
    root: Root
    #: of the working folder's
    cache: Path
    environment: dict[str, str]

    @property
    def build(self) -> Path:
        """CMake's folder, where upstream's setup.py looks for it."""
        return self.folder / "source/build"

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs ``argv`` on this tree, in the root."""
        return self.root.command(
            argv, tree=self.folder, cache=self.cache, environment=self.environment
        )


def patches_of(source: Source, rows: Path) -> tuple[Path, ...]:
    """Return a row's own patches below the feedstock's ``sources/``; raises FeedstockError."""
    if source.patches is None:
        return ()
    folder = rows / "sources" / source.patches
    found = tuple(sorted(folder.glob("*.patch")))
    if not found:
        raise FeedstockError(
            "there are no patches",
            where=str(folder),
            next_step="write some, or leave `patches` out",
        )
    return found


def tree_folder(
    trees: Path,
    name: str,
    source: Source,
    patches: tuple[Path, ...],
    root: Root,
    upon: Mapping[str, str],
) -> Path:
    """Name the folder of a row's tree: other inputs, another folder.

    ``upon`` has the sha256 of the wheel that it is compiled against.
    """
    row = {**asdict(source), "upon": dict(upon)}
    inputs = [json.dumps(row, sort_keys=True), root.compiler, str(_FORMAT)]
    inputs += [f"{path.name} {path.read_text(encoding='utf-8')}" for path in patches]
    return trees / f"{name}-{hashlib.sha256(chr(0).join(inputs).encode()).hexdigest()[:16]}"


def fetch_files(work: Path, source: Source, apt: Callable[[], Apt]) -> dict[str, Path]:
    """Return the row's files, fetched by apt where they are not there yet.

    Raises BuildError: one with its sha256 is not to be had.
    """
    folder = work / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: folder / name for name in source.files}
    lacking = [name for name, path in found.items() if not keeps(path, source.files[name])]
    if not lacking:
        return found
    package, version = source.source.partition("?")[0].split("/")[-1].split("@")
    why = "its sha256 is not feedstock.yaml's"
    try:
        asked = f"{package}={unquote(version)}"
        apt().run("--download-only", "source", "--only-source", asked, cwd=folder)
    except BuildError as error:  # one of several files may be lost, and not be needed
        why = error.what
    for name in lacking:
        if not keeps(found[name], source.files[name]):
            raise BuildError(f"is not to be had: {why}", where=str(found[name]), next_step=_LOST)
    return found


def make_tree(
    tree: Tree, source: Source, files: dict[str, Path], patches: tuple[Path, ...]
) -> None:
    """Unpack and patch, unless it was done to the end.

    Raises BuildError: a patch does not fit.
    """
    done = tree.folder / "unpacked"
    if done.is_file():
        return
    shutil.rmtree(tree.folder, ignore_errors=True)
    (tree.folder / "source").mkdir(parents=True)
    (tree.folder / "patches").mkdir()
    for place, name in zip(("source", "source/debian"), source.files, strict=False):
        shutil.copy2(files[name], tree.folder / name)
        (tree.folder / place).mkdir(exist_ok=True)
        run(
            tree.command(
                *("tar", "--extract", "--no-same-owner", "--no-same-permissions"),
                *("--strip-components=1", f"--file={INSIDE}/{name}", "-C", f"{INSIDE}/{place}"),
            )
        )
        (tree.folder / name).unlink()
    series = tree.folder / "source/debian/patches/series"
    theirs = series.read_text(encoding="utf-8").split() if series.is_file() else []
    for number, path in enumerate(
        [series.parent / name for name in theirs if name not in source.without] + list(patches)
    ):
        inside = f"patches/{number:03}-{path.name}"
        shutil.copy2(path, tree.folder / inside)
        run(
            tree.command(
                *("patch", "--strip=1", "--forward", "--batch", "--fuzz=0"),
                *("--no-backup-if-mismatch", "--quiet"),
                *(f"--directory={INSIDE}/source", f"--input={INSIDE}/{inside}"),
            )
        )
    write_text(done, "")
