"""templates/build.py as rattler-build runs it: a program, a wheel in SRC_DIR, a prefix to fill."""

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.feedstock import Policies
from generator.rendering import render
from tests.counts import count
from tests.locks import Shelf, cuda_cell, feedstock, torch_wheel

INFO = "torch-9.1.0.dist-info"


@dataclass
class Bench:
    """A rendered recipe folder, a work folder and an empty prefix."""

    root: Path
    package: str = "pytorch"
    wheel: str = ""

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    @property
    def site(self) -> Path:
        return self.prefix / "lib" / "python3.11" / "site-packages"

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", str(self.root / "recipe" / "build.py")], check=False,
            capture_output=True, text=True, env={
                "SRC_DIR": str(self.root / "work"), "PREFIX": str(self.prefix),
                "RECIPE_DIR": str(self.root / "recipe"), "target_platform": "linux-aarch64",
                "PY_VER": "3.11", "PATH": os.defpath, **environment,
            })

    def manifest(self) -> dict[str, dict[str, object]]:
        text = (self.prefix / "info" / "armtorch" / "manifest.json").read_text()
        return dict(json.loads(text))

    def replace_wheel(self, content: bytes) -> None:
        """Put another wheel in, and make the layout expect it: only build.py can refuse it."""
        layout_path = self.root / "recipe" / "layout.json"
        layout = json.loads(layout_path.read_text())
        [(sha256, row)] = layout["wheels"].items()
        layout["wheels"] = {hashlib.sha256(content).hexdigest(): row}
        layout_path.write_text(json.dumps(layout))
        (self.root / "work" / row["file"]).write_bytes(content)
        assert sha256


def bench(root: Path, tinies, package="pytorch", line="9.1", accelerator="cpu", number=0) -> Bench:
    shelf = Shelf(root / "wheelhouse")
    cell = shelf.cell(line, accelerator, tinies)
    tree = render(feedstock(policies=Policies(maximum_unpacked_ratio=50)), shelf.lock(cell))
    folder = f"recipes/{line}/{package}/"
    (root / "recipe").mkdir()
    (root / "work").mkdir()
    (root / "prefix").mkdir()
    for path, content in tree.files.items():
        if path.startswith(folder):
            (root / "recipe" / path.removeprefix(folder)).write_bytes(content)
    wheels = [v.wheels[0] for v in tree.variants if v.package == package]
    wheel = wheels[number]
    layout_path = root / "recipe" / "layout.json"
    layout = json.loads(layout_path.read_text())
    layout["wheels"] = {wheel.sha256: layout["wheels"][wheel.sha256]}
    layout_path.write_text(json.dumps(layout))
    place = root / "wheelhouse" / wheel.sha256[:16] / wheel.filename
    (root / "work" / wheel.filename).write_bytes(place.read_bytes())
    return Bench(root, package, wheel.filename)


@pytest.fixture
def pytorch(tmp_path):
    return bench(tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")])


@pytest.fixture
def libtorch(tmp_path):
    return bench(tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")],
                 package="libtorch")


def test_pytorch_holds_what_is_pythons_and_links_to_the_rest(pytorch):
    done = pytorch.run()

    assert done.returncode == 0, done.stderr
    links = {path.relative_to(pytorch.prefix).as_posix(): os.readlink(path)
             for path in pytorch.prefix.rglob("*") if path.is_symlink()}
    lib = "lib/python3.11/site-packages/torch/lib/"
    include = "lib/python3.11/site-packages/torch/include/"
    share = "lib/python3.11/site-packages/torch/share/cmake/"
    assert links == {
        **{f"{lib}{name}": f"../../../../{name}" for name in (
            "libc10.so", "libtorch_cpu.so", "libtorch_python.so", "libgomp.so.1",
            "libopenblas-24fd393f.so.0", "libstdc++.so.6", "libgcc_s.so.1")},
        **{f"{include}{name}": f"../../../../../include/{name}"
           for name in ("ATen", "c10", "torch")},
        **{f"{share}{name}": f"../../../../../../share/cmake/{name}"
           for name in ("ATen", "Torch")},
    }
    files = {path.relative_to(pytorch.site).as_posix() for path in pytorch.site.rglob("*")
             if path.is_file() and not path.is_symlink()}
    assert files == {
        "torch/__init__.py", "torch/version.py", "torch/_C.cpython-311-aarch64-linux-gnu.so",
        "torch/include/pybind11/pybind11.h", "torch/bin/torch_shm_manager",
        f"{INFO}/licenses/LICENSE", f"{INFO}/METADATA", f"{INFO}/WHEEL", f"{INFO}/RECORD",
        f"{INFO}/INSTALLER", f"{INFO}/entry_points.txt",
    }
    assert (pytorch.prefix / "lib" / "libtorch_python.so").is_file()
    assert os.access(pytorch.site / "torch" / "bin" / "torch_shm_manager", os.X_OK)


def test_libtorch_holds_what_all_pythons_share(libtorch):
    done = libtorch.run()

    assert done.returncode == 0, done.stderr
    assert {path.relative_to(libtorch.prefix).as_posix() for path in libtorch.prefix.rglob("*")
            if path.is_file() and "info/" not in path.as_posix()} == {
        "lib/libc10.so", "lib/libtorch_cpu.so", "lib/libopenblas-24fd393f.so.0",
        "include/ATen/ATen.h", "include/c10/macros/Macros.h", "include/torch/torch.h",
        "include/torch/script.h", "share/cmake/Torch/TorchConfig.cmake",
        "share/cmake/ATen/ATenConfig.cmake",
    }
    config = (libtorch.prefix / "share/cmake/ATen/ATenConfig.cmake").read_text()
    assert config == 'set(ATEN_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../../../include")\n'


def test_every_member_is_accounted_for(tmp_path):
    """Between them the two manifests say of every member of the wheel what became of it."""
    wheel = torch_wheel("9.1.0", "cp311")
    manifests = []
    for package in ("libtorch", "pytorch"):
        (tmp_path / package).mkdir()
        made = bench(tmp_path / package, [wheel], package=package)
        assert made.run().returncode == 0
        manifests.append(made.manifest())

    libtorch, pytorch = manifests
    carried = {*libtorch["unchanged"].values(), *pytorch["unchanged"].values(),
               *(row["member"] for row in libtorch["patched"].values())}
    replaced = {row["instead_of"] for row in pytorch["linked"].values() if "instead_of" in row}
    generated = {path.removeprefix("site-packages/") for path in pytorch["generated"]}
    # libgfortran: by sonames.yaml nobody needs it since 2.11
    dropped = {"torch/test/cpp/test_x", "torch/bin/protoc", "torch/bin/test_api",
               "torch/lib/libgfortran.so.5"}
    assert sum(row["members"] for row in pytorch["dropped"]) == len(dropped)
    assert {*wheel.contents(), f"{INFO}/RECORD"} == (
        carried | replaced | dropped | generated) - {f"{INFO}/INSTALLER"}
    assert not carried & replaced
    assert not set(libtorch["unchanged"].values()) & set(pytorch["unchanged"].values())


def test_record_lists_what_is_there_and_nothing_else(pytorch):
    pytorch.run()

    with (pytorch.site / INFO / "RECORD").open() as file:
        rows = {path: (digest, size) for path, digest, size in csv.reader(file)}

    there = {path.relative_to(pytorch.site).as_posix() for path in pytorch.site.rglob("*")
             if path.is_symlink() or path.is_file()}
    assert {path for path in rows if not path.startswith("../")} == there
    assert rows["../../../bin/torchrun"] == ("", "")
    # a link to torch's own library has its hash, since the bytes behind it are proven; a link to
    # another package's file has none
    wheel = torch_wheel("9.1.0", "cp311")
    assert rows["torch/lib/libtorch_cpu.so"][0] == _hash(
        wheel.contents()["torch/lib/libtorch_cpu.so"])
    assert rows["torch/lib/libgomp.so.1"] == ("", "")
    for path, (digest, size) in rows.items():
        target = pytorch.site / path
        if digest and not target.is_symlink():
            assert (digest, int(size)) == (_hash(target.read_bytes()), target.stat().st_size), path


def test_upstreams_own_record_and_metadata_are_kept(pytorch):
    pytorch.run()

    wheel = torch_wheel("9.1.0", "cp311")
    kept = pytorch.prefix / "info" / "armtorch"
    assert (kept / "RECORD").read_bytes() == wheel.record_bytes()
    assert (kept / "METADATA").read_bytes() == wheel.metadata_bytes()
    assert pytorch.manifest()["source"]["purl"].startswith("pkg:pypi/torch@9.1.0?file_name=torch-")


def test_metadata_loses_what_conda_satisfies_without_a_dist(tmp_path):
    shelf = Shelf(tmp_path / "w")
    cell = cuda_cell(shelf)
    assert cell
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311", requires=(
        "filelock", 'nvidia-cudnn-cu13==9.24.0.43; platform_system == "Linux"', "triton~=3.8.0"))],
        accelerator="cuda130")
    assert made.run().returncode == 0

    metadata = (made.site / INFO / "METADATA").read_text()

    assert "Requires-Dist: filelock\n" in metadata
    assert "Requires-Dist: triton~=3.8.0\n" in metadata
    assert "nvidia" not in metadata
    assert metadata.endswith("\n\nA tiny wheel for tests.\n")


def test_the_same_wheel_gives_the_same_prefix_whatever_the_clock_and_zone(tmp_path):
    prints = set()
    for name, zone in (("a", "UTC"), ("b", "Pacific/Auckland")):
        (tmp_path / name).mkdir()
        made = bench(tmp_path / name, [torch_wheel("9.1.0", "cp311")])
        assert made.run(TZ=zone).returncode == 0
        prints.add(tuple(sorted(
            (path.relative_to(made.prefix).as_posix(),
             os.readlink(path) if path.is_symlink() else path.read_bytes(),
             0 if path.is_symlink() else path.stat().st_mtime_ns, path.lstat().st_mode)
            for path in made.prefix.rglob("*") if path.is_symlink() or path.is_file())))

    assert len(prints) == 1


# ---- wheels that must be refused ----------------------------------------------------------------


def _hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def pack(members: list[tuple[str, bytes]], record: bytes | None = None, **special: object) -> bytes:
    """Write an archive with RECORD at its end; ``special``: name -> what to do with its entry."""
    if record is None:
        rows = [f"{name},{_hash(content)},{len(content)}" for name, content in members
                if not name.endswith("/")]
        record = ("\n".join([*rows, f"{INFO}/RECORD,,"]) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*members, (f"{INFO}/RECORD", record)]:
            info = zipfile.ZipInfo("x", (2026, 1, 1, 0, 0, 0))
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = int(str(special.get(name, 0o644))) << 16
            with warnings.catch_warnings():  # zipfile warns of the second member of a name
                warnings.simplefilter("ignore", UserWarning)
                archive.writestr(info, content)
    return buffer.getvalue()


def honest() -> list[tuple[str, bytes]]:
    return list(torch_wheel("9.1.0", "cp311").contents().items())


def swap(content: bytes, before: bytes, after: bytes) -> bytes:
    assert before in content
    return content.replace(before, after)


HOSTILE = {
    "leaves upwards": (lambda: pack([*honest(), ("torch/../../evil.py", b"x")]), "unsafe path"),
    "absolute": (lambda: pack([*honest(), ("/etc/evil", b"x")]), "unsafe path"),
    "drive letter": (lambda: pack([*honest(), ("C:/evil", b"x")]), "unsafe path"),
    "backslash": (lambda: pack([*honest(), ("torch\\evil.py", b"x")]), "unsafe path"),
    "dot": (lambda: pack([*honest(), ("torch/./evil.py", b"x")]), "unsafe path"),
    "empty part": (lambda: pack([*honest(), ("torch//evil.py", b"x")]), "unsafe path"),
    "control character": (lambda: pack([*honest(), ("torch/a\nb.py", b"x")]), "unsafe path"),
    "a folder upwards": (lambda: pack([*honest(), ("torch/../../evil/", b"")]), "unsafe path"),
    "symbolic link": (lambda: pack([*honest(), ("torch/evil", b"/etc")],
                                   **{"torch/evil": 0o120777}), "symbolic link"),
    "two of a name": (lambda: pack([*honest(), ("torch/__init__.py", b"x")]), "two members"),
    "file and folder": (lambda: pack([*honest(), ("torch", b"x")]), "both a file and a folder"),
    "not in RECORD": (lambda: pack([*honest(), ("torch/evil.py", b"x")],
                                   torch_wheel("9.1.0", "cp311").record_bytes()),
                      "RECORD and the members differ in ['torch/evil.py']"),
    "only in RECORD": (lambda: pack(honest(), torch_wheel("9.1.0", "cp311").record_bytes()
                                    + f"torch/gone.py,{_hash(b'x')},1\n".encode()),
                       "RECORD and the members differ in ['torch/gone.py']"),
    "twice in RECORD": (lambda: pack(honest(), torch_wheel("9.1.0", "cp311").record_bytes()
                                     + f"torch/__init__.py,{_hash(b'x')},1\n".encode()),
                        "is a repeat"),
    "weak hash in RECORD": (lambda: pack(honest(), swap(
        torch_wheel("9.1.0", "cp311").record_bytes(), b"torch/version.py,sha256=",
        b"torch/version.py,md5=")), "no sha256"),
    "RECORD is no table": (lambda: pack(honest(), b"a,b\n"), "row of 2 fields"),
    "no RECORD": (lambda: swap(pack(honest()), b".dist-info/RECORD", b".dist-info/RECORX"),
                  "has 0 RECORD files"),
    "other bytes": (lambda: pack([(name, content.replace(b"9.1.0", b"9.1.1")
                                   if name == "torch/version.py" else content)
                                  for name, content in honest()],
                                 torch_wheel("9.1.0", "cp311").record_bytes()),
                    "torch/version.py does not have the sha256 of RECORD"),
    "other size": (lambda: pack([(name, content + b"#" if name == "torch/version.py" else content)
                                 for name, content in honest()],
                                torch_wheel("9.1.0", "cp311").record_bytes()),
                   "RECORD says"),
    "a bomb": (lambda: pack([*honest(), ("torch/zeros", bytes(50_000_000))]), "bytes unpacked"),
    "no zip at all": (lambda: b"<html>not found</html>", "not a readable zip"),
    "cut off": (lambda: pack(honest())[:-40], "not a readable zip"),
    "torch_python is missing": (lambda: pack([row for row in honest()
                                              if "torch_python" not in row[0]]), "nothing matches"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wheel_that_is_not_safe_or_not_itself_is_refused(pytorch, case):
    make, reason = HOSTILE[case]
    pytorch.replace_wheel(make())

    done = pytorch.run()

    assert done.returncode == 1, done.stdout
    assert reason in done.stderr
    assert "  next: " in done.stderr
    assert "Traceback" not in done.stderr
    outside = {path.name for path in pytorch.root.iterdir()}
    assert outside == {"prefix", "recipe", "work", "wheelhouse"}
    assert not Path("/etc/evil").exists()


def test_a_library_that_pythons_do_not_share_is_not_shared(tmp_path):
    """The lock says what differs; a rule that shares it all the same stops the build."""
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")],
                 package="libtorch")
    layout_path = tmp_path / "recipe" / "layout.json"
    layout = json.loads(layout_path.read_text())
    rules = layout["cells"]["linux-aarch64/cpu"]["rules"]
    layout["cells"]["linux-aarch64/cpu"]["rules"] = [
        rule for rule in rules if "torch/lib/libtorch_python.so" not in rule["match"]]
    layout_path.write_text(json.dumps(layout))

    done = made.run()

    assert done.returncode == 1
    assert "torch/lib/libtorch_python.so differs between the Pythons" in done.stderr


def test_a_library_that_differs_by_more_than_its_rule_allows_is_refused(pytorch):
    members = [(name, content + b"more" if name == "torch/lib/libc10.so" else content)
               for name, content in honest()]
    pytorch.replace_wheel(pack(members))

    done = pytorch.run()

    assert done.returncode == 1
    assert "libc10.so differs from the reference by more than build-id-and-time" in done.stderr


def test_another_wheel_of_the_same_name_is_not_taken(pytorch):
    wheel = pytorch.root / "work" / pytorch.wheel
    wheel.write_bytes(pack(honest()))

    done = pytorch.run()

    assert done.returncode == 1
    assert "which layout.json does not know" in done.stderr


def test_a_wheel_that_cannot_be_patched_as_said_is_refused(libtorch):
    members = [(name, b"# nothing to mend\n" if name.endswith("ATenConfig.cmake") else content)
               for name, content in honest()]
    libtorch.replace_wheel(pack(members))
    layout_path = libtorch.root / "recipe" / "layout.json"
    layout = json.loads(layout_path.read_text())
    del layout["cells"]["linux-aarch64/cpu"]["shared"]
    layout_path.write_text(json.dumps(layout))

    done = libtorch.run()

    assert done.returncode == 1
    assert "has 0 places that match" in done.stderr


def test_flipped_bits_never_pass(pytorch):
    """A wheel with any one bit flipped is refused, or gives the very same files."""
    import random

    source = pytorch.root / "work" / pytorch.wheel
    content = source.read_bytes()
    pytorch.run()
    good = _tree(pytorch.site)
    chance = random.Random(4)
    survived = 0
    for _ in range(count("flips") // 4):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        pytorch.replace_wheel(bytes(flipped))
        _clear(pytorch.prefix)
        done = pytorch.run()
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode == 0:
            survived += 1
            assert _tree(pytorch.site) == good
    assert survived < count("flips") // 8


def _tree(folder: Path) -> dict[str, bytes | str]:
    return {path.relative_to(folder).as_posix():
            os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def _clear(prefix: Path) -> None:
    import shutil

    shutil.rmtree(prefix)
    prefix.mkdir()


def test_memory_does_not_grow_with_the_wheel(tmp_path):
    """Unpacks 700 MB with an address space of 300 MiB."""
    noise = os.urandom(1 << 15) + bytes((1 << 20) - (1 << 15))
    big = {"torch/lib/libbig.so": noise * 350, "torch/big.bin": noise * 350}
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311", extra=big)])
    script = tmp_path / "recipe" / "build.py"
    limited = ("import resource, runpy, sys\n"
               "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
               f"sys.argv[0] = {str(script)!r}\nsys.path.insert(0, {str(script.parent)!r})\n"
               f"runpy.run_path({str(script)!r}, run_name='__main__')\n")

    done = subprocess.run([sys.executable, "-c", limited], check=False, capture_output=True,
                          text=True, env={
        "SRC_DIR": str(tmp_path / "work"), "PREFIX": str(made.prefix), "PATH": os.defpath,
        "RECIPE_DIR": str(tmp_path / "recipe"), "target_platform": "linux-aarch64",
        "PY_VER": "3.11"})

    assert done.returncode == 0, done.stderr
    assert (made.site / "torch" / "big.bin").stat().st_size == len(noise) * 350
