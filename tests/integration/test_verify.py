"""`armtorch verify` on packages that rattler-build made: sound ones proven, spoilt ones refused."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import random
import re
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rattler.package_streaming import extract

from generator.building import read_info, seal
from generator.building.policy import policy
from generator.channel.inputs import same_package
from generator.inspecting import Proof, verify_package
from generator.inspecting.proof import Evidence
from generator.model import Accelerator
from tests.counts import count
from tests.packages import (
    MANIFEST,
    PATHS,
    Parts,
    TinyChannel,
    nothing,
    tar_of,
    tiny_channel,
    write_conda,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> TinyChannel:
    return tiny_channel(tmp_path_factory.mktemp("repo"), tmp_path_factory.mktemp("out"))


def package(tiny: TinyChannel, name: str, subdir: str = "linux-aarch64") -> Path:
    wanted = re.compile(rf"{subdir}/{name}-[0-9]")
    return next(path for path in tiny.packages if wanted.search(path.as_posix()))


def spoilt(tiny: TinyChannel, parts: Parts, folder: Path) -> Proof:
    return verify_package(parts.write(folder), tiny.everything(parts.name))


def named(proof: Proof) -> set[str]:
    return {flaw.file for flaw in proof.flaws}


# ---- sound packages -----------------------------------------------------------------------------


def test_every_package_is_proven_by_what_is_at_hand(tiny):
    assert len(tiny.packages) == len(tiny.tree.variants)
    for path in tiny.packages:
        names = ("pytorch-cpu-", "pytorch-mutex-", "cpuonly-", "pytorch-cuda", "torchaudio-torchc")
        empty = path.name.startswith(names)
        for witness, verdict in (
            (nothing, "self-consistent"),
            (tiny.record, "self-consistent"),
            (tiny.everything(path.name), "proven"),
        ):
            proof = verify_package(path, witness)
            assert not proof.flaws, (path, proof.flaws)
            assert proof.verdict == verdict
            assert bool(proof.notes) == (verdict != "proven")
        assert proof.binaries.share == 1.0
        assert empty or path.name.startswith("pytorch-common-") or proof.binaries.files
        assert empty or sum(proof.counts.values()) > 0


def test_an_unpacker_that_nobody_released_is_noted_where_no_lock_says_better(tiny, tmp_path):
    parts = Parts.read(package(tiny, "torchvision"))
    known = "no armtorch up to this one had the unpacker"
    assert known not in "".join(verify_package(package(tiny, "torchvision"), tiny.record).notes)
    layout = parts.json("info/recipe/layout.json")
    parts.put_json("info/recipe/layout.json", {**layout, "unpacker": "0" * 64})
    parts.put_json(MANIFEST, {**parts.json(MANIFEST), "unpacker": "0" * 64})
    parts.seal_info()
    proof = verify_package(parts.write(tmp_path), tiny.record)
    assert (proof.verdict, proof.flaws) == ("self-consistent", ())
    assert f"{known} of sha256 {'0' * 64}" in proof.notes[-1]
    assert {MANIFEST, "info/recipe/layout.json"} <= named(spoilt(tiny, parts, tmp_path))


def test_a_licence_text_that_the_wheel_lacks_is_the_recipes(tiny, tmp_path):
    parts = Parts.read(package(tiny, "libtorch"))
    (text,) = [file for file in parts.info if file.endswith("/bundled/KleidiAI.txt")]
    parts.info[text] += b"or any other\n"
    parts.seal_info()
    for witness in (tiny.record, tiny.everything(parts.name)):
        assert named(verify_package(parts.write(tmp_path), witness)) == {text}


def test_counts_are_those_of_the_package(tiny):
    path = package(tiny, "libtorch")
    parts = Parts.read(path)
    proof = verify_package(path, tiny.record)
    kinds = ("unchanged", "patched", "generated", "linked")
    assert sum(proof.counts[kind] for kind in kinds) == len(parts.payload)
    assert proof.counts["patched"] == 1
    assert proof.counts["elsewhere"] > 0
    assert list(proof.patches) == ["share/cmake/ATen/ATenConfig.cmake"]


def test_every_member_of_the_wheel_is_somewhere(tiny):
    """Over libtorch and pytorch: nothing of a wheel gets lost without a word."""
    for name in ("pytorch", "pytorch-common", "libtorch"):
        parts = Parts.read(package(tiny, name))
        manifest = parts.json(MANIFEST)
        members = parts.info["info/armtorch/RECORD"].decode().splitlines()
        linked = [path for path, row in manifest["linked"].items() if row["of"] == "libtorch"]
        left = [*manifest["dropped"], *manifest["elsewhere"], *manifest["replaced"]]
        said = (
            len(manifest["unchanged"])
            + len(manifest["patched"])
            + sum(row["members"] for row in left)
            + len(linked)
        )
        # METADATA and RECORD are made anew
        assert said == len(members) - 2


def test_packages_that_armtorch_did_not_make_have_a_verdict_of_their_own(tmp_path):
    index = json.dumps({"name": "x", "version": "1", "build": "0"}).encode()
    info, payload = tar_of([("info/index.json", index)]), tar_of([("lib/x", b"x")])
    path = write_conda(tmp_path / "x-1-0.conda", payload, info)
    proof = verify_package(path, nothing)
    assert (proof.verdict, proof.flaws) == ("not provable", ())
    assert "did not make it" in proof.notes[0]


def test_a_package_without_its_account_is_not_what_the_lock_renders(tiny, tmp_path):
    parts = Parts.read(package(tiny, "torchaudio"))
    for file in [file for file in parts.info if file.startswith("info/armtorch/")]:
        del parts.info[file]
    path = parts.write(tmp_path)
    assert verify_package(path, nothing).verdict == "not provable"
    proof = verify_package(path, tiny.everything(path.name))
    assert proof.verdict == "refuted"
    assert any("nothing accounts for it" in flaw.what for flaw in proof.flaws)


def test_the_old_format_is_named(tmp_path):
    path = tmp_path / "pytorch-2.10.0-0.tar.bz2"
    with tarfile.open(path, "w:bz2") as tar:
        tar.addfile(tarfile.TarInfo("info/index.json"), io.BytesIO())
    proof = verify_package(path, lambda *_: pytest.fail("asked"))
    assert proof.verdict == "not provable"
    assert ".tar.bz2" in proof.notes[0]


# ---- one changed byte ---------------------------------------------------------------------------


def change(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    other = (content[place] + chance.randrange(1, 256)) % 256
    return content[:place] + bytes([other]) + content[place + 1 :]


def test_random_changes_are_all_found_and_named(tiny, tmp_path):
    """A byte of a file, with paths.json and the manifest left alone or made to agree."""
    chance = random.Random(3)
    whole = {path: Parts.read(path) for path in tiny.packages}
    files = [
        (path, kind, file)
        for path, parts in whole.items()
        for kind, found in (("payload", parts.payload), ("info", parts.info))
        for file, content in found.items()
        if isinstance(content, bytes) and content
    ]
    for number in range(count("changes")):
        path, kind, file = chance.choice(files)
        parts = copy.deepcopy(whole[path])
        target: dict[str, Any] = parts.payload if kind == "payload" else parts.info
        before = target[file]
        target[file] = change(before, chance)
        if kind == "payload" and number % 2:
            parts.adjust(file)
        proof = verify_package(parts.write(tmp_path), tiny.everything(path.name))
        assert proof.verdict == "refuted", (path, file, before, target[file])
        assert proof.flaws[0].what
        if file not in (MANIFEST, "info/armtorch/RECORD"):  # others follow from these
            assert file in named(proof), (path, file, proof.flaws)


def test_other_bytes_lower_the_share_of_upstreams(tiny, tmp_path):
    parts = Parts.read(package(tiny, "libtorch"))
    parts.payload["lib/libtorch_cpu.so"] = parts.file("lib/libtorch_cpu.so") + b"more"
    parts.adjust("lib/libtorch_cpu.so")
    proof = verify_package(parts.write(tmp_path), tiny.record)
    assert proof.verdict == "refuted"
    assert 0 < proof.binaries.share < 1


# ---- an edited manifest -------------------------------------------------------------------------


def edits(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value that holds no other values."""
    if isinstance(value, dict) and value:
        return [place for key in value for place in edits(value[key], (*path, key))]
    if isinstance(value, list) and value:
        return [place for n, inner in enumerate(value) for place in edits(inner, (*path, n))]
    return [path]


def edit(value: Any) -> Any:
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, int):
        return value + 1
    return {**value, "more": "x"} if isinstance(value, dict) else "x"


@pytest.mark.parametrize(
    ("name", "at_hand"),
    [("libtorch", "record"), ("pytorch", "everything"), ("torchvision", "record")],
)
def test_a_manifest_edited_in_any_field_is_refused(tiny, tmp_path, name, at_hand):
    """Every value and every key, by one that looks like it, and every row left out."""
    parts = Parts.read(package(tiny, name))
    manifest = parts.json(MANIFEST)
    known = (tiny.record if at_hand == "record" else tiny.everything(parts.name))(parts.info)
    for place in edits(manifest):
        for how in ("value", "key", "gone"):
            edited = copy.deepcopy(manifest)
            inside: Any = edited
            for key in place[:-1]:
                inside = inside[key]
            if how == "value":
                inside[place[-1]] = edit(inside[place[-1]])
            elif how == "gone":
                del inside[place[-1]]
            elif isinstance(inside, dict):
                inside[f"{place[-1]}x"] = inside.pop(place[-1])
            parts.put_json(MANIFEST, edited)
            if parts.json(MANIFEST) == manifest:
                continue
            proof = verify_package(parts.write(tmp_path), lambda _: known)
            assert proof.verdict == "refuted", (how, place)


ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    "",
    -1,
    2**63,
    1e308,
    True,
    [["x"]],
    {"x": "y"},
    "../x",
    "\ud800",
    "a\0b",
)
JSON = (
    MANIFEST,
    PATHS,
    *(f"info/{name}.json" for name in ("index", "about", "link", "recipe/layout")),
)


@pytest.mark.parametrize("at_hand", ["nothing", "record", "everything"])
def test_odd_values_anywhere_in_metadata_end_in_a_verdict(tiny, tmp_path, at_hand):
    chance = random.Random(5)
    path = package(tiny, "pytorch")
    sound = Parts.read(path)
    witness = {
        "nothing": nothing,
        "record": tiny.record,
        "everything": tiny.everything(path.name),
    }[at_hand]
    for _ in range(count("changes") // 3):
        parts = copy.deepcopy(sound)
        file = chance.choice(JSON)
        value = parts.json(file)
        inside: Any = value
        places = edits(value)
        place = chance.choice(places)[: chance.randrange(1, 9)]
        for key in place[:-1]:
            inside = inside[key]
        if inside[place[-1]] == (odd := chance.choice(ODD)):
            continue
        inside[place[-1]] = odd
        parts.put_json(file, value)
        proof = verify_package(parts.write(tmp_path), witness)
        stated = at_hand != "everything" and file not in (MANIFEST, PATHS)
        assert proof.verdict == "refuted" or stated, place


def test_a_manifest_with_a_key_twice_is_refused(tiny, tmp_path):
    parts = Parts.read(package(tiny, "torchaudio"))
    text = parts.info[MANIFEST].decode()
    parts.info[MANIFEST] = text.replace(
        '{\n "dropped"', '{\n "dropped": [],\n "dropped"', 1
    ).encode()
    assert parts.info[MANIFEST] != text.encode()
    parts.seal_info()
    for witness in (tiny.everything(parts.name), tiny.record, nothing):
        proof = verify_package(parts.write(tmp_path), witness)
        assert proof.verdict == "refuted"
        assert named(proof) == {MANIFEST}


# ---- patches that are not needed ----------------------------------------------------------------

ATEN = "share/cmake/ATen/ATenConfig.cmake"


def test_a_patch_that_upstream_made_needless_is_counted(tiny):
    proof = verify_package(package(tiny, "libtorch", "osx-arm64"), tiny.record)
    assert (proof.flaws, proof.patches) == ((), {})
    assert proof.counts["patches that upstream made needless"] == 1


def test_a_patch_left_out_of_a_text_that_wants_it_is_named(tiny, tmp_path):
    """The forger puts upstream's own text in, and says that there was nothing to mend in it."""
    parts = Parts.read(package(tiny, "libtorch"))
    manifest, layout = parts.json(MANIFEST), parts.json("info/recipe/layout.json")
    row = manifest["patched"].pop(ATEN)
    content = parts.file(ATEN).decode()
    content = content[: row["at"]] + row["before"] + content[row["at"] + len(row["with"]) :]
    (patch,) = [rule["patch"] for rule in layout["rules"] if "patch" in rule]
    manifest["unpatched"][ATEN] = {key: patch[key] for key in ("pattern", "probe", "why")}
    manifest["unchanged"][ATEN] = row["member"]
    parts.put_json(MANIFEST, manifest)
    parts.payload[ATEN] = content.encode()
    parts.adjust(ATEN)
    proof = spoilt(tiny, parts, tmp_path)
    assert proof.verdict == "refuted"
    assert any(
        flaw.file == ATEN and "has what it is to be patched for" in flaw.what
        for flaw in proof.flaws
    )


# ---- things added, exchanged, led elsewhere -----------------------------------------------------


def test_a_file_that_nothing_accounts_for_is_named(tiny, tmp_path):
    parts = Parts.read(package(tiny, "torchaudio"))
    parts.payload["site-packages/evil.pth"] = b"import evil\n"
    parts.adjust("site-packages/evil.pth")
    assert "site-packages/evil.pth" in named(spoilt(tiny, parts, tmp_path))


def test_two_files_exchanged_are_named_although_both_are_upstreams(tiny, tmp_path):
    parts = Parts.read(package(tiny, "libtorch"))
    one, two = "include/torch/torch.h", "include/torch/script.h"
    manifest = parts.json(MANIFEST)
    unchanged = manifest["unchanged"]
    unchanged[one], unchanged[two] = unchanged[two], unchanged[one]
    parts.put_json(MANIFEST, manifest)
    parts.payload[one], parts.payload[two] = parts.payload[two], parts.payload[one]
    parts.adjust(one)
    parts.adjust(two)
    proof = verify_package(parts.write(tmp_path), tiny.record)
    assert proof.verdict == "refuted"
    assert MANIFEST in named(proof)


def test_a_recipe_that_was_changed_with_everything_else_is_not_the_locks(tiny, tmp_path):
    """The forger adds a file of his own as upstream's and lets layout.json agree."""
    parts = Parts.read(package(tiny, "torchaudio"))
    layout = parts.json("info/recipe/layout.json")
    evil = b"#!/bin/sh\n"
    row = {"from": "tests/evil", "sha256": hashlib.sha256(evil).hexdigest(), "size": len(evil)}
    layout["test_files"]["bin/evil"] = row
    parts.info["info/recipe/layout.json"] = (
        json.dumps(layout, indent=2, ensure_ascii=False) + "\n"
    ).encode()
    parts.payload["bin/evil"] = evil
    manifest = parts.json(MANIFEST)
    manifest["generated"]["bin/evil"] = {"how": "test-file", "from": "tests/evil"}
    parts.put_json(MANIFEST, manifest)
    parts.adjust("bin/evil")
    parts.seal_info()
    # by RECORD alone it holds together, and the proof says what it could not compare
    proof = verify_package(parts.write(tmp_path), tiny.record)
    assert proof.verdict == "self-consistent"
    assert "no lock" in proof.notes[0]
    proof = spoilt(tiny, parts, tmp_path)
    assert {"bin/evil", "info/recipe/layout.json"} <= named(proof)


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../../../../../../etc/passwd", "", "..\\..\\evil", "../../.."]
)
def test_a_link_out_of_the_prefix_is_named(tiny, tmp_path, target):
    parts = Parts.read(package(tiny, "pytorch"))
    link = next(path for path, to in parts.payload.items() if isinstance(to, str))
    parts.payload[link] = target
    assert link in named(spoilt(tiny, parts, tmp_path))


@pytest.mark.parametrize("to", ["/etc/passwd", "../../../../../etc/passwd", "lib/../../x", "..\\x"])
def test_no_recipe_may_lead_a_link_out_of_the_prefix(tiny, tmp_path, to):
    parts = Parts.read(package(tiny, "pytorch"))
    at = next(path for path, target in parts.payload.items() if isinstance(target, str))
    layout = parts.json("info/recipe/layout.json")
    layout["links"].append({"at": at, "to": to, "of": "evil", "why": "evil"})
    parts.put_json("info/recipe/layout.json", layout)
    (flaw,) = [
        flaw
        for flaw in verify_package(parts.write(tmp_path), nothing).flaws
        if "out of" in flaw.what
    ]
    assert flaw.file == at


@pytest.mark.parametrize("place", ["info/link.json", "INFO/index.json"])
def test_no_packaged_file_lies_where_metadata_do(tiny, tmp_path, place):
    parts = Parts.read(package(tiny, "torchaudio"))
    parts.payload[place] = b"{}"
    (flaw,) = verify_package(parts.write(tmp_path), nothing).flaws
    assert "the other of its two tars" in flaw.what


def test_a_link_to_another_file_is_named(tiny, tmp_path):
    parts = Parts.read(package(tiny, "pytorch"))
    link = "site-packages/torch/lib/libtorch_cpu.so"
    parts.payload[link] = "../../../../libtorch_cpX.so"
    proof = spoilt(tiny, parts, tmp_path)
    assert link in named(proof)


def test_a_library_for_another_machine_is_not_upstreams(tiny, tmp_path):
    parts = Parts.read(package(tiny, "libtorch"))
    library = parts.file("lib/libtorch_cpu.so")
    parts.payload["lib/libtorch_cpu.so"] = library[:18] + b"\x3e\0" + library[20:]
    parts.adjust("lib/libtorch_cpu.so")
    parts.seal_info()
    found = named(verify_package(parts.write(tmp_path), tiny.record))
    assert found == {"lib/libtorch_cpu.so", PATHS}


def test_a_file_is_not_installed_with_a_prefix_written_into_it(tiny, tmp_path):
    """paths.json can make clients rewrite a file; that would not be upstream's any more."""
    parts = Parts.read(package(tiny, "torchaudio"))
    paths = parts.json(PATHS)
    paths["paths"][0] |= {"prefix_placeholder": "/opt", "file_mode": "binary"}
    parts.put_json(PATHS, paths)
    parts.seal_info()
    proof = verify_package(parts.write(tmp_path), tiny.record)
    assert named(proof) == {PATHS}
    assert "paths.0.file_mode: says binary" in proof.flaws[0].what


def test_a_file_below_info_that_nobody_writes_is_named(tiny, tmp_path):
    parts = Parts.read(package(tiny, "torchaudio"))
    parts.info["info/evil.sh"] = b"#!/bin/sh\n"
    parts.seal_info()
    assert named(spoilt(tiny, parts, tmp_path)) == {"info/evil.sh"}


def test_another_record_is_not_the_locks(tiny, tmp_path):
    """A wheel changed by one byte, and its RECORD with it."""
    parts = Parts.read(package(tiny, "torchaudio"))
    parts.info["info/armtorch/RECORD"] = parts.info["info/armtorch/RECORD"].replace(b"\n", b"\r\n")
    proof = verify_package(parts.write(tmp_path), tiny.record)
    assert "info/armtorch/RECORD" in named(proof)


# ---- what a package is: forged to fit together, by whoever has armtorch at hand -----------------


def changed(file: str, **fields: Any) -> Any:
    def forge(parts: Parts) -> None:
        parts.put_json(file, {**parts.json(file), **fields})

    return forge


def pth(parts: Parts) -> None:
    parts.payload["site-packages/evil.pth"] = b"import os\n"
    parts.adjust("site-packages/evil.pth")


def depends_and_pth(parts: Parts) -> None:
    index = parts.json(INDEX)
    parts.put_json(INDEX, {**index, "depends": [*index["depends"], "evil"]})
    pth(parts)


def later(parts: Parts) -> None:
    """Everything says another time."""
    parts.seconds += 10
    index = parts.json(INDEX)
    parts.put_json(INDEX, {**index, "timestamp": index["timestamp"] + 10_000})
    file = "info/recipe/rendered_recipe.yaml"
    parts.info[file] = parts.info[file].replace(b"03:04:06Z", b"03:04:16Z")


def without(file: str) -> Any:
    def forge(parts: Parts) -> None:
        del parts.info[file]

    return forge


def added(file: str, content: bytes) -> Any:
    def forge(parts: Parts) -> None:
        parts.info[file] = content

    return forge


def entry_points(parts: Parts) -> None:
    link = parts.json("info/link.json")
    link["noarch"]["entry_points"].append("ls = torch.evil:main")
    parts.put_json("info/link.json", link)


INDEX = "info/index.json"
FORGED = {
    "a dependency and a .pth": (depends_and_pth, INDEX),
    "a .pth": (pth, "site-packages/evil.pth"),
    "name": (changed(INDEX, name="evil"), INDEX),
    "version": (changed(INDEX, version="99"), INDEX),
    "build": (changed(INDEX, build="0"), INDEX),
    "build number": (changed(INDEX, build_number=99), INDEX),
    "depends": (changed(INDEX, depends=[]), INDEX),
    "constrains": (changed(INDEX, constrains=["evil"]), INDEX),
    "license": (changed(INDEX, license="MIT"), INDEX),
    "noarch": (changed(INDEX, noarch="generic"), INDEX),
    "subdir": (changed(INDEX, subdir="linux-64"), INDEX),
    "a field nobody asked for": (changed(INDEX, zzz="x"), INDEX),
    "python site packages path": (changed(INDEX, python_site_packages_path="lib"), INDEX),
    "timestamp": (changed(INDEX, timestamp=1), INDEX),
    "every time": (later, INDEX),
    "run_exports": (changed("info/run_exports.json", strong=["evil"]), "info/run_exports.json"),
    "no run_exports": (without("info/run_exports.json"), "info/run_exports.json"),
    "about": (changed("info/about.json", home="https://evil.example"), "info/about.json"),
    "entry points": (entry_points, "info/link.json"),
    "no link.json": (without("info/link.json"), "info/link.json"),
    "no paths.json": (without(PATHS), PATHS),
    "an empty paths.json": (added(PATHS, b""), PATHS),
    "tests": (added("info/tests/tests.yaml", b"[]\n"), "info/tests/tests.yaml"),
    "a link script": (
        added("info/recipe/post-link.sh", b"#!/bin/sh\n"),
        "info/recipe/post-link.sh",
    ),
    "an attestation": (added("info/attestation.json", b"{}"), "info/attestation.json"),
    "a file under info": (added("info/no_link", b"x"), "info/no_link"),
    "a licence": (
        added("info/licenses/licenses/LICENSE", b"mine"),
        "info/licenses/licenses/LICENSE",
    ),
}


@pytest.mark.parametrize("how", FORGED)
def test_whatever_a_package_is_follows_from_the_lock(tiny, tmp_path, how):
    forge, file = FORGED[how]
    parts = Parts.read(package(tiny, "pytorch"))
    forge(parts)
    parts.seal_info()
    proof = spoilt(tiny, parts, tmp_path)
    assert proof.verdict == "refuted"
    assert file in named(proof), proof.flaws


def test_a_metapackage_with_a_dependency_or_a_file_more_is_refused(tiny, tmp_path):
    for forge in (depends_and_pth, pth, changed(INDEX, depends=["evil"])):
        parts = Parts.read(package(tiny, "cpuonly", "noarch"))
        forge(parts)
        assert spoilt(tiny, parts, tmp_path).verdict == "refuted"


def of_lock(tiny: TinyChannel, name: str, **said: Any) -> Evidence:
    """What a lock that says something else of a wheel than the wheel does makes known."""
    evidence = tiny.everything(name)({})
    expected, metadata = evidence.expected, evidence.metadata
    assert expected is not None
    assert metadata is not None
    wheel = expected.variant.wheels[0]
    layout, shared = json.loads(expected.recipe["layout.json"]), said.pop("shared", {})
    for cell in layout["cells"].values():
        cell.get("shared", {}).update(shared)
    recipe = {**expected.recipe, "layout.json": json.dumps(layout).encode()}
    own = {key: said.pop(key) for key in said.keys() & vars(metadata).keys()}
    accelerator = Accelerator.parse(said.pop("accelerator", str(expected.variant.accelerator)))
    wheels = (replace(wheel, **said),)
    variant = replace(expected.variant, wheels=wheels, accelerator=accelerator)
    return replace(
        evidence,
        expected=replace(expected, variant=variant, recipe=recipe),
        metadata=replace(metadata, **own),
    )


@pytest.mark.parametrize(
    ("name", "said", "file"),
    [
        ("pytorch", {"requires_dist": ("evil",)}, "info/armtorch/METADATA"),
        ("pytorch", {"requires_dist": ()}, "info/armtorch/METADATA"),
        ("pytorch", {"requires_python": ">=3.99"}, "info/armtorch/METADATA"),
        ("pytorch", {"console_scripts": ("torchrun = os:system",)}, "entry_points.txt"),
        ("pytorch", {"console_scripts": ()}, "entry_points.txt"),
        ("torchaudio", {"console_scripts": ("ls = os:system",)}, "entry_points.txt"),
        ("libtorch", {"metadata": "0" * 64}, "info/armtorch/RECORD"),
        ("libtorch", {"accelerator": "cuda130"}, "info/armtorch/RECORD"),
        ("libtorch", {"shared": {"digest": "0" * 64}}, "info/armtorch/RECORD"),
        ("pytorch-common", {"shared": {"per_python": []}}, "info/armtorch/RECORD"),
    ],
)
def test_what_a_lock_says_of_a_wheel_is_held_against_the_wheels_files(tiny, name, said, file):
    path = package(tiny, name)
    proof = verify_package(path, lambda _: of_lock(tiny, path.name, **said))
    assert any(each.endswith(file) for each in named(proof)), proof.flaws


def test_what_pythons_are_said_to_have_alike_is_held_against_the_file(tiny):
    path = package(tiny, "libtorch")
    layout = json.loads(Parts.read(path).info["info/recipe/layout.json"])
    (row, *_) = next(iter(layout["cells"].values()))["shared"]["equivalent"]
    other = {"equivalent": [{**row, "normalised_sha256": "0" * 64}]}
    proof = verify_package(path, lambda _: of_lock(tiny, path.name, shared=other))
    assert any("is not what other Pythons have" in flaw.what for flaw in proof.flaws)


def test_the_level_that_it_was_packed_at_does_not_count(tiny, tmp_path):
    """zstd's bytes may be other ones; what they unpack to, and everything around, may not."""
    path = package(tiny, "pytorch")
    info = read_info(path)
    target = tmp_path / path.name
    seal(path, target, milliseconds=1767323046000, level=19, cores=1, rules=policy().seal)
    assert target.read_bytes() != path.read_bytes()
    assert read_info(target) == info
    assert verify_package(target, tiny.everything(path.name)).verdict == "proven"


def test_a_package_that_was_built_is_the_same_as_itself(tiny):
    for path in tiny.packages:
        with path.open("rb") as one, path.open("rb") as two:
            assert same_package(one, two, path.name), path.name


def test_members_of_4_gib_and_more_are_read_as_clients_do(tiny, tmp_path, monkeypatch):
    """From there on a zip's directory has zip64's field; here the limit is what is lowered."""
    path = package(tiny, "libtorch")
    target, members = tmp_path / path.name, tmp_path / "extracted"
    with monkeypatch.context() as lowered:
        lowered.setattr(zipfile, "ZIP64_LIMIT", 1000)
        seal(path, target, milliseconds=1767323046000, level=1, cores=1, rules=policy().seal)
        assert verify_package(target, tiny.everything(path.name)).verdict == "proven"
    assert b"PK\6\6" in target.read_bytes()[-200:]
    with path.open("rb") as one, target.open("rb") as two:
        assert same_package(one, two, path.name)
    extract(target, members)
    assert (members / "info/index.json").is_file()


@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_refuted_and_does_not_keep_the_rest(put, tmp_path):
    path = tmp_path / "pytorch-9.1.0-cpu_0.conda"
    put(path)
    proof = verify_package(path, nothing)
    assert (proof.verdict, proof.flaws[0].what) == ("refuted", "it is not a regular file")


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="no file that cannot be read")
def test_a_file_that_cannot_be_read_does_not_keep_the_rest(tmp_path):
    path = tmp_path / "pytorch-9.1.0-cpu_0.conda"
    path.symlink_to("/proc/self/mem")
    proof = verify_package(path, nothing)
    assert proof.verdict == "refuted"
    assert "cannot be read" in proof.flaws[0].what
