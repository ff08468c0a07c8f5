"""Wheels with a module built anew, as conda-forge builds it: against the channel's libraries.

A channel of its own, so that the forge itself needs no compiler.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from generator.debian.wheels import write_record
from tests.forge import debian, declaration, elf, libraries, staging, wheels
from tests.forge.archive import Package
from tests.forge.channel import (
    ForgeChannel,
    Report,
    default_cache,
    replace_folder,
    write_channel,
)
from tests.forge.declaration import CompiledRow, Declaration
from tests.forge.errors import ForgeError
from tests.forge.staging import Staged


def ensure_compiled(
    compiler: Path, cache: Path | None = None, *, report: Report = lambda _line: None
) -> ForgeChannel:
    """Build the channel with a C compiler for linux-aarch64, unless it is there already."""
    cache = (cache or default_cache()).resolve()
    out = cache / "channel-compiled"

    def fill(folder: Path) -> dict[str, str]:
        declared = declaration.load()
        work = cache / "work"
        shutil.rmtree(work, ignore_errors=True)
        made = [_make(row, declared, compiler, cache, work) for row in declared.compiled]
        write_channel(made, folder, jobs=1)
        shutil.rmtree(work)
        report(f"{len(made)} packages compiled")
        return {}

    replace_folder(out, cache, fill, report)
    return ForgeChannel(out)


def _make(
    row: CompiledRow, declared: Declaration, compiler: Path, cache: Path, work: Path
) -> Package:
    files = wheels.fetch(declared, cache)
    wheel = declared.wheel(row.project, row.python)
    staged = wheels.stage(wheel, declared, files[wheel.file], work)
    linked = [
        libraries.stage(library, {}, {name: files[declared.wheel(name).file]}, work)
        for library in declared.libraries
        if library.conda in row.links and (name := library.wheel)
    ]
    tree = staged.package.tree
    if tree is None:
        msg = f"{wheel.file} has no files"
        raise ForgeError(msg)
    _rebuild(row, declared, compiler, cache, tree, linked)
    package = replace(staged.package, build=f"{staged.package.build[:-1]}1", number=1)
    return staging.resolve([Staged(package), *linked])[0]


def _rebuild(
    row: CompiledRow,
    declared: Declaration,
    compiler: Path,
    cache: Path,
    tree: Path,
    linked: list[Staged],
) -> None:
    """Put the module that the compiler makes into the place of the wheel's."""
    site_packages = tree / declared.python(row.python).site_packages
    (module,) = site_packages.glob(f"{row.module}.*.so")
    for pattern in row.drops:
        for path in sorted(site_packages.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    source = _unpack(_fetch(row, cache), tree.with_name(f"{tree.name}-source"))
    includes = _headers(row, cache, tree.with_name(f"{tree.name}-headers"))
    sources = [str(path) for pattern in row.sources for path in sorted(source.glob(pattern))]
    libraries_ = [
        str(path)
        for item in linked
        for path in sorted((item.package.tree or tree).glob("lib/*.so*"))
    ]
    command = [str(compiler), "-O1", "-fPIC", "-shared", *(f"-D{text}" for text in row.defines)]
    command += [f"-I{includes}", f"-I{includes / f'python{row.python}'}"]
    done = subprocess.run(
        [*command, *sources, "-o", str(module), *libraries_],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        msg = f"{compiler.name} could not build {row.module}: {done.stderr.strip()[-2000:]}"
        raise ForgeError(msg)
    elf.adopt(module, tree)
    (dist_info,) = site_packages.glob("*.dist-info")
    write_record(site_packages, dist_info)


def _headers(row: CompiledRow, cache: Path, folder: Path) -> Path:
    for deb in debian.fetch({row.suite: row.debs}, cache).values():
        shutil.copytree(deb.folder / "usr/include", folder, dirs_exist_ok=True)
    # Debian's compiler looks here by itself, a plain one for the target does not
    shutil.copytree(folder / "aarch64-linux-gnu", folder, dirs_exist_ok=True)
    for name, (old, new) in row.edits.items():
        path = folder / name
        text = path.read_text()
        if old not in text:
            msg = f"{name} of {', '.join(row.debs)} does not say {old}"
            raise ForgeError(msg)
        path.write_text(text.replace(old, new))
    return folder


def _fetch(row: CompiledRow, cache: Path) -> Path:
    """Fetch the sdist with pip, which knows the index of this machine."""
    folder = cache / "wheels"
    target = folder / row.file
    if wheels.is_intact(target, row.sha256):
        return target
    version = row.file.removeprefix(f"{row.project}-").removesuffix(".tar.gz")
    wanted = folder / f"requirements-{row.project}.txt"
    wanted.write_text(f"{row.project}=={version} --hash=sha256:{row.sha256}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-binary", row.project, "--require-hashes", "--requirement", str(wanted),
         "--dest", str(folder)],
        env={**os.environ, "PIP_CONSTRAINT": os.devnull},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        msg = f"pip could not fetch {row.file}: {done.stderr.strip()}"
        raise ForgeError(msg)
    return target


def _unpack(sdist: Path, folder: Path) -> Path:
    # tar's own program refuses to leave the folder; tarfile's filters came with Python 3.11.4
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", str(sdist), "-C", str(folder)], check=True)
    (top,) = folder.iterdir()
    return top
