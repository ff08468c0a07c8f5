"""Wheels that templates/build.py must refuse, with a reason and without a trace outside."""

import io
import json
import random
import re
import shutil
import warnings
import zipfile
from pathlib import Path

import pytest

from tests.counts import count
from tests.locks import torch_wheel
from tests.recipe_bench import INFO, bench, record_hash, tree_of

#: a member that only pytorch has
EXTENSION = "torch/_C.cpython-311-aarch64-linux-gnu.so"


@pytest.fixture
def pytorch(tmp_path):
    return bench(tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")])


@pytest.fixture
def libtorch(tmp_path):
    return bench(
        tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")], package="libtorch"
    )


def pack(members: list[tuple[str, bytes]], record: bytes | None = None, **special: int) -> bytes:
    """Write an archive with RECORD at its end; ``special``: name -> what to do with its entry."""
    if record is None:
        rows = [
            f"{name},{record_hash(content)},{len(content)}"
            for name, content in members
            if not name.endswith("/")
        ]
        record = ("\n".join([*rows, f"{INFO}/RECORD,,"]) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*members, (f"{INFO}/RECORD", record)]:
            info = zipfile.ZipInfo("x", (2026, 1, 1, 0, 0, 0))
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = special.get(name, 0o644) << 16
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
    "symbolic link": (
        lambda: pack([*honest(), ("torch/evil", b"/etc")], None, **{"torch/evil": 0o120777}),
        "symbolic link",
    ),
    "two of a name": (lambda: pack([*honest(), ("torch/__init__.py", b"x")]), "two members"),
    "file and folder": (lambda: pack([*honest(), ("torch", b"x")]), "both a file and a folder"),
    "not in RECORD": (
        lambda: pack(
            [*honest(), ("torch/evil.py", b"x")], torch_wheel("9.1.0", "cp311").record_bytes()
        ),
        "RECORD and the members differ in ['torch/evil.py']",
    ),
    "only in RECORD": (
        lambda: pack(
            honest(),
            torch_wheel("9.1.0", "cp311").record_bytes()
            + f"torch/gone.py,{record_hash(b'x')},1\n".encode(),
        ),
        "RECORD and the members differ in ['torch/gone.py']",
    ),
    "twice in RECORD": (
        lambda: pack(
            honest(),
            torch_wheel("9.1.0", "cp311").record_bytes()
            + f"torch/__init__.py,{record_hash(b'x')},1\n".encode(),
        ),
        "is a repeat",
    ),
    "weak hash in RECORD": (
        lambda: pack(
            honest(),
            swap(
                torch_wheel("9.1.0", "cp311").record_bytes(),
                b"torch/version.py,sha256=",
                b"torch/version.py,md5=",
            ),
        ),
        "no sha256",
    ),
    "RECORD is no table": (lambda: pack(honest(), b"a,b\n"), "row of 2 fields"),
    "no RECORD": (
        lambda: swap(pack(honest()), b".dist-info/RECORD", b".dist-info/RECORX"),
        "has 0 RECORD files",
    ),
    "other bytes": (
        lambda: pack(
            [
                (
                    name,
                    bytes([content[0] ^ 1]) + content[1:] if name == EXTENSION else content,
                )
                for name, content in honest()
            ],
            torch_wheel("9.1.0", "cp311").record_bytes(),
        ),
        f"{EXTENSION} does not have the sha256 of RECORD",
    ),
    "other size": (
        lambda: pack(
            [
                (name, content + b"#" if name == EXTENSION else content)
                for name, content in honest()
            ],
            torch_wheel("9.1.0", "cp311").record_bytes(),
        ),
        "RECORD says",
    ),
    "a bomb": (lambda: pack([*honest(), ("torch/zeros", bytes(50_000_000))]), "bytes unpacked"),
    "no zip at all": (lambda: b"<html>not found</html>", "not a readable zip"),
    "cut off": (lambda: pack(honest())[:-40], "not a readable zip"),
    "torch_python is missing": (
        lambda: pack([row for row in honest() if "torch_python" not in row[0]]),
        "nothing matches",
    ),
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
    assert outside == {"prefix", "recipe", "work", "wheelhouse", "_unpack"}
    assert not Path("/etc/evil").exists()


def test_a_library_that_pythons_do_not_share_is_not_shared(tmp_path):
    """The lock says what differs; a rule that shares it all the same stops the build."""
    made = bench(
        tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")], package="libtorch"
    )
    layout_path = tmp_path / "recipe" / "layout.json"
    layout = json.loads(layout_path.read_text())
    layout["rules"] = [
        rule for rule in layout["rules"] if "torch/lib/libtorch_python.so" not in rule["match"]
    ]
    layout_path.write_text(json.dumps(layout))

    done = made.run()

    assert done.returncode == 1
    assert "torch/lib/libtorch_python.so differs between the Pythons" in done.stderr


def test_a_library_that_differs_by_more_than_its_rule_allows_is_refused(pytorch):
    members = [
        (name, content + b"more" if name == "torch/lib/libc10.so" else content)
        for name, content in honest()
    ]
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


def with_cmake(libtorch, text: bytes, *, read: bool):
    """Build libtorch of a wheel with this ATenConfig.cmake, whose version was read or was not."""
    members = [
        (name, text if name.endswith("ATenConfig.cmake") else content) for name, content in honest()
    ]
    libtorch.replace_wheel(pack(members))
    layout_path = libtorch.root / "recipe" / "layout.json"
    layout = json.loads(layout_path.read_text())
    del layout["cells"]["linux-aarch64/cpu"]["shared"]
    (patch,) = [rule["patch"] for rule in layout["rules"] if "patch" in rule]
    assert patch["read"] is False, "nobody has read torch 9.1"
    patch["read"] = read
    layout_path.write_text(json.dumps(layout))
    return libtorch.run()


CMAKE = "share/cmake/ATen/ATenConfig.cmake"
TO_MEND = b'set(ATen_INCLUDE_DIR "/tmp/wheel/platlib/torch/include")\n'


@pytest.mark.parametrize(
    ("text", "read", "places"),
    [
        (b"# nothing to mend\n", True, 0),
        (TO_MEND * 2, True, 2),
        (TO_MEND * 2, False, 2),
        # the pattern fits no more, and a build machine's folder is still in it
        (b'set(ATen_INCLUDE_DIR "/tmp/wheel/headers")\n', False, 0),
    ],
)
def test_a_wheel_that_cannot_be_patched_as_said_is_refused(libtorch, text, read, places):
    done = with_cmake(libtorch, text, read=read)
    assert done.returncode == 1
    assert f"has {places} places that match" in done.stderr
    assert "absolute folder of its build machine" in done.stderr


def test_a_version_that_nobody_read_is_patched_where_the_pattern_fits(libtorch):
    assert with_cmake(libtorch, TO_MEND, read=False).returncode == 0
    assert list(libtorch.manifest()["patched"]) == [CMAKE]
    assert libtorch.manifest()["unpatched"] == {}


def test_a_patch_whose_reason_is_gone_is_left_out_and_noted(libtorch):
    text = b'set(ATen_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../../../include")\n'
    done = with_cmake(libtorch, text, read=False)
    assert done.returncode == 0, done.stderr
    assert "1 patches that upstream made needless" in done.stdout
    manifest = libtorch.manifest()
    assert manifest["patched"] == {}
    assert "build machine" in manifest["unpatched"][CMAKE]["why"]
    assert manifest["unchanged"][CMAKE] == f"torch/{CMAKE}"
    assert (libtorch.prefix / CMAKE).read_bytes() == text


def test_flipped_bits_never_pass(pytorch):
    """A wheel with any one bit flipped is refused, or gives the very same files."""
    source = pytorch.root / "work" / pytorch.wheel
    content = source.read_bytes()
    pytorch.run()
    good = tree_of(pytorch.site)
    chance = random.Random(4)
    survived = 0
    for _ in range(count("flips") // 4):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        pytorch.replace_wheel(bytes(flipped))
        shutil.rmtree(pytorch.prefix)
        pytorch.prefix.mkdir()
        done = pytorch.run()
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode == 0:
            survived += 1
            assert tree_of(pytorch.site) == good
    # a member that pytorch does not take over is not read; the wheel's sha256 guards those
    assert survived < count("flips") // 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch/__INIT__.py", "'torch/__init__.py' and 'torch/__INIT__.py' are one file on"),
        ("Torch/new.py", "are one file on"),
        ("torch/aux.py", "Windows cannot have"),
        ("torch/com1/x.py", "Windows cannot have"),
        ("torch/a?.py", "Windows cannot have"),
        ("torch/a./x.py", "Windows cannot have"),
        ("torch/100%PATH%.py", "a batch file cannot write"),
    ],
)
def test_names_that_windows_or_a_batch_file_cannot_write_are_refused_there(pytorch, name, message):
    pytorch.replace_wheel(pack([*honest(), (name, b"x")]))
    refused = pytorch.run(target_platform="win-arm64")
    assert refused.returncode == 1
    assert message in re.sub(r"\s+", " ", refused.stderr)
    # the next check, of what the Pythons share, is what such a wheel meets elsewhere
    assert "is not what the lock has seen" in pytorch.run(target_platform="linux-aarch64").stderr
    elsewhere = pytorch.run(target_platform="osx-arm64").stderr
    assert (message in elsewhere) == ("one file" in message)
