"""Wheels as conda packages: pure ones noarch, binary ones for one Python.

pip fetches them, so its configuration decides the index, and checks the pinned sha256.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from generator.debian.wheels import unpack, write_launchers
from tests.forge.archive import Package
from tests.forge.declaration import NOARCH, SUBDIR, Declaration, PythonRow, WheelRow
from tests.forge.errors import ForgeError
from tests.forge.staging import Staged, build_hash

# every glibc that a wheel for the forge's suites may ask for
_PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in range(17, 29)))


def fetch(declaration: Declaration, cache: Path) -> dict[str, Path]:
    """Fetch every declared wheel and return where it lies, by file name."""
    folder = cache / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    for python in declaration.pythons:
        rows = [row for row in declaration.wheels if row.python == python.version]
        missing = [row for row in rows if not is_intact(folder / row.file, row.sha256)]
        if missing:
            _download(missing, python, folder)
    for row in declaration.wheels:
        if not (folder / row.file).is_file():
            msg = f"pip fetched another file for {row.project} {row.version} than {row.file}"
            raise ForgeError(msg)
    return {row.file: folder / row.file for row in declaration.wheels}


def is_intact(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _download(rows: Sequence[WheelRow], python: PythonRow, folder: Path) -> None:
    for row in rows:
        (folder / row.file).unlink(missing_ok=True)
    wanted = folder / f"requirements-{python.version}.txt"
    wanted.write_text(
        "".join(f"{row.project}=={row.version} --hash=sha256:{row.sha256}\n" for row in rows)
    )
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(wanted),
        "--python-version", python.version, "--dest", str(folder),
    ]  # fmt: skip
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    # Every version is exact here: a machine's constraints could only contradict them.
    environment = {**os.environ, "PIP_CONSTRAINT": os.devnull}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"pip could not fetch wheels for Python {python.version}: {done.stderr.strip()}"
        raise ForgeError(msg)


def stage(row: WheelRow, declaration: Declaration, wheel: Path, work: Path) -> Staged:
    """Lay out one wheel as a conda package."""
    python = declaration.python(row.python)
    tree = work / row.file.removesuffix(".whl")
    site_packages = "site-packages" if row.is_pure else python.site_packages
    scripts = unpack(wheel, tree, site_packages)
    (dist_info,) = (tree / site_packages).glob("*.dist-info")
    metadata = (dist_info / "METADATA").read_text(encoding="utf-8")
    depends = _depends(row, declaration, metadata)
    if not row.is_pure:
        minor = int(python.version.split(".")[1])
        depends += [
            f"python >={python.version},<3.{minor + 1}.0a0",
            f"python_abi {python.version}.* *_{python.abi}",
        ]
        write_launchers(tree / "bin", scripts)
    digest = build_hash([row.model_dump_json()])
    package = Package(
        name=row.name,
        version=row.version,
        build=f"pyh{digest}_0" if row.is_pure else f"py{python.abi[2:]}h{digest}_0",
        number=0,
        subdir=NOARCH if row.is_pure else SUBDIR,
        depends=tuple(depends),
        constrains=(),
        tree=tree,
        noarch="python" if row.is_pure else None,
        entry_points=scripts if row.is_pure else (),
        source=row.file,
    )
    return Staged(package)


def _depends(row: WheelRow, declaration: Declaration, metadata: str) -> list[str]:
    """METADATA's requirements under conda's names."""
    headers = HeaderParser().parsestr(metadata)
    names = {wheel.project: wheel.name for wheel in declaration.wheels}
    depends = list(row.depends)
    environment = {
        "python_version": row.python,
        "python_full_version": f"{row.python}.0",
        "platform_machine": "aarch64",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    for line in headers.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        project = canonicalize_name(requirement.name)
        if project not in names:
            msg = f"{row.file} requires {requirement.name}, which packages.yaml does not declare"
            raise ForgeError(msg)
        depends.append(_spec(names[project], requirement.specifier))
    if row.is_pure:
        depends.append(_spec("python", SpecifierSet(headers.get("Requires-Python") or ">=3")))
    return depends


def _spec(name: str, specifier: SpecifierSet) -> str:
    return f"{name} {','.join(sorted(map(str, specifier)))}".rstrip()
