"""A base channel of records for subdirs that no base channel fully serves (see tests/forge).

Only names and dependencies that a solver reads; nothing on it can be installed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from generator.model import PythonBuild

#: what torch's METADATA asks for, on conda-forge noarch packages
NOARCH = {
    "filelock": "3.20.0",
    "jinja2": "3.1.6",
    "networkx": "3.6",
    "pybind11": "3.0.1",
    "setuptools": "80.9.0",
    "sympy": "1.14.0",
    "typing_extensions": "4.15.0",
}
#: compiled packages by subdir: version, and build where that matters; win-arm64's numpy and pillow
#: are not conda-forge's (facts)
COMPILED = {
    "linux-aarch64": {"numpy": "2.3.5", "pillow": "12.0.0", "_openmp_mutex": "4.5",
                      "libgcc": "15.2.0", "libstdcxx": "15.2.0", "libgfortran5": "15.2.0",
                      "libjpeg-turbo": "3.1.2", "libpng": "1.6.58", "libwebp-base": "1.6.0",
                      "libzlib": "1.3.1", "sleef": "3.9.0", "fmt": "12.1.0"},
    "linux-armv7l": {"numpy": "2.3.5", "pillow": "12.0.0", "_openmp_mutex": "4.5",
                     "libgcc": "15.2.0", "libstdcxx": "15.2.0", "libopenblas": "0.3.29 openmp_0",
                     "libprotobuf": "3.21.12", "libonnx": "1.17.0", "fmt": "10.1.1",
                     "cpuinfo": "0.0.20250327", "pthreadpool": "0.0.20240616", "sleef": "3.6.1",
                     "libjpeg-turbo": "2.1.5", "libpng": "1.6.48", "libwebp-base": "1.5.0"},
    "osx-arm64": {"numpy": "2.3.5", "pillow": "12.0.0", "llvm-openmp": "21.1.8", "libcxx": "21.1.8",
                  "libjpeg-turbo": "3.1.2", "libpng": "1.6.58", "libwebp-base": "1.6.0",
                  "libzlib": "1.3.1", "sleef": "3.9.0", "fmt": "12.1.0"},
    "win-arm64": {"numpy": "2.3.5", "pillow": "12.0.0", "vc14_runtime": "14.44.35208"},
}  # fmt: skip
#: name, version, build, depends, constrains
_Row = tuple[str, str, str, tuple[str, ...], tuple[str, ...]]


def write_base(
    folder: Path, subdir: str, pythons: Iterable[str], *, without: Iterable[str] = ()
) -> str:
    """Write the channel and return its address; `without` are names that it lacks."""
    lacking = set(without)
    rows: list[_Row] = [(name, version, "0", (), ()) for name, version in NOARCH.items()]
    native: list[_Row] = []
    for name, text in COMPILED[subdir].items():
        version, _, build_string = text.partition(" ")
        native.append((name, version, build_string or "0", (), ()))
    for text in pythons:
        build = PythonBuild.parse(text)
        abi = f"python_abi {build.version}.* *_{build.abi}"
        own, constrained = ((abi,), ()) if build.minor > 12 else ((), (abi,))
        tail = build.build_string_glob.removeprefix("*_")
        native.append(("python", f"{build.version}.9", f"h1_0_{tail}", own, constrained))
        python = f"python {build.version}.* *_{tail}"
        rows.append(("python_abi", build.version, f"8_{build.abi}", (), (python,)))
    for name, found in (("noarch", rows), (subdir, native)):
        records = {
            f"{package}-{version}-{build}.conda": {
                "name": package,
                "version": version,
                "build": build,
                "build_number": 0,
                "subdir": name,
                **({"noarch": "generic"} if name == "noarch" else {}),
                "depends": list(depends),
                "constrains": list(constrains),
                "sha256": hashlib.sha256(f"{package}{version}{build}".encode()).hexdigest(),
                "size": 1,
            }
            for package, version, build, depends, constrains in found
            if package not in lacking
        }
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "repodata.json").write_text(
            json.dumps(
                {
                    "info": {"subdir": name},
                    "packages": {},
                    "packages.conda": records,
                    "repodata_version": 1,
                }
            )
        )
    return folder.as_uri()
