"""Which file names serve which Python, and which of several files is taken."""

from __future__ import annotations

import time

import pytest
from packaging.version import Version

from generator.datafiles import subdirs
from generator.errors import IntegrityError, MalformedError
from generator.model import Cell, Lock, PythonBuild, Wheel
from generator.model.accelerator import Accelerator
from generator.updating.catalogue import Catalogue, Release, refuse_tampering
from generator.upstream.index_pages import parse_page
from generator.upstream.offers import Offer, parse_offer
from generator.upstream.page_store import Page

LINUX, MAC = subdirs()["linux-aarch64"], subdirs()["osx-arm64"]


def offer(filename: str, **facts: object) -> Offer:
    plain = {"index": "pypi", "url": "https://x.invalid/f", "sha256": "0" * 64, "size": 10}
    made = parse_offer(filename, **{**plain, **facts})
    assert made is not None
    return made


def python(text: str) -> PythonBuild:
    return PythonBuild.parse(text)


@pytest.mark.parametrize(
    ("tags", "serves", "refuses"),
    [
        ("cp312-cp312-manylinux_2_28_aarch64", ["3.12"], ["3.11", "3.13"]),
        ("cp313-cp313t-manylinux_2_28_aarch64", ["3.13t"], ["3.13", "3.14t"]),
        ("cp310-none-macosx_11_0_arm64", ["3.10"], ["3.11"]),
        ("py3-none-manylinux_2_28_aarch64", ["3.11", "3.14t"], []),
        # the stable ABI: from there on, but not without a GIL
        ("cp312-abi3-manylinux_2_28_aarch64", ["3.12", "3.15"], ["3.11", "3.14t"]),
    ],
)
def test_tags_say_which_python_a_wheel_serves(
    tags: str, serves: list[str], refuses: list[str]
) -> None:
    found = offer(f"torch-2.10.0-{tags}.whl")
    assert [text for text in serves + refuses if found.serves(python(text))] == serves


def test_requires_python_of_the_index_is_asked_about_the_minor_not_its_first_patch() -> None:
    name = "torchvision-0.29.2-py3-none-manylinux_2_28_aarch64.whl"
    assert offer(name, requires_python="!=3.14.0,>=3.10.4").serves(python("3.14"))
    assert offer(name, requires_python=">=3.10.4").serves(python("3.10"))
    assert not offer(name, requires_python=">=3.11").serves(python("3.10"))


def test_what_is_not_a_wheel_is_no_offer() -> None:
    for name in ("torch-2.10.0.tar.gz", "torch.whl", "index.html"):
        assert parse_offer(name, index="i", url="u", sha256=None, size=None) is None


def test_the_highest_build_tag_wins() -> None:
    catalogue = Catalogue(
        {
            "torch": (
                offer("torch-2.10.0-10-cp311-none-macosx_11_0_arm64.whl"),
                offer("torch-2.10.0-2-cp311-none-macosx_11_0_arm64.whl"),
                offer("torch-2.10.0-cp311-none-macosx_11_0_arm64.whl"),
            )
        }
    )
    best = catalogue.best("torch", Release(Version("2.10.0")), MAC, python("3.11"))
    assert best is not None
    assert best.filename == "torch-2.10.0-10-cp311-none-macosx_11_0_arm64.whl"


def test_yanked_and_foreign_files_are_not_there() -> None:
    catalogue = Catalogue(
        {
            "torch": (
                offer("torch-2.11.0-cp311-cp311-manylinux_2_28_aarch64.whl", yanked="broken"),
                offer("torch-2.12.0-cp311-cp311-manylinux_2_28_x86_64.whl"),
                offer("torch-2.10.0-cp311-cp311-manylinux2014_aarch64.whl"),
            )
        }
    )
    assert catalogue.releases("torch", LINUX) == (Release(Version("2.10.0")),)
    assert catalogue.releases("torch", MAC) == ()
    there = catalogue.passed_over("torch", Version("2.11.0"), LINUX, python("3.11"))
    assert there is not None
    assert there.passed_over == "one was yanked (broken)"


def test_the_purl_names_the_file() -> None:
    found = offer("torch-2.15.0+cu132-cp311-cp311-manylinux_2_28_aarch64.whl")
    assert found.purl.startswith("pkg:pypi/torch@2.15.0%2Bcu132?file_name=torch-2.15.0")


def _locked(sha256: str, train: str = "stable") -> Lock:
    name = "torch-2.10.0-cp311-cp311-manylinux_2_28_aarch64.whl"
    wheel = Wheel(
        project="torch",
        version="2.10.0",
        filename=name,
        purl="p",
        size=10,
        sha256=sha256,
        index="pypi",
        python=python("3.11"),
        platforms=(),
        metadata="m",
        metadata_origin="range",
        record="r",
    )
    return Lock(
        cells=(
            Cell(
                line="2.10",
                train=train,  # type: ignore[arg-type]
                subdir="linux-aarch64",
                accelerator=Accelerator(),
                trio={"torch": "2.10.0"},
                wheels=(wheel,),
            ),
        )
    )


def test_a_released_file_with_other_bytes_is_refused_by_both_hashes() -> None:
    name = "torch-2.10.0-cp311-cp311-manylinux_2_28_aarch64.whl"
    catalogue = Catalogue({"torch": (offer(name, sha256="a" * 64),)})
    with pytest.raises(IntegrityError) as caught:
        refuse_tampering(catalogue, _locked("b" * 64))
    assert "a" * 64 in str(caught.value)
    assert "b" * 64 in str(caught.value)
    assert name in str(caught.value)
    refuse_tampering(catalogue, _locked("a" * 64))
    refuse_tampering(catalogue, _locked("b" * 64, train="nightly"))


def test_a_name_that_no_file_can_have_is_no_wheel() -> None:
    tags = ".".join(f"cp3{number}" for number in range(60))
    platforms = ".".join(f"manylinux_2_{number}_aarch64" for number in range(300))
    assert parse_offer(f"torch-2.10.0-{tags}-{tags}-{platforms}.whl") is None
    assert parse_offer(f"torch-{'9' * 5000}-cp312-cp312-manylinux_2_28_aarch64.whl") is None


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html", b"<p>" * 500_000),
        ("text/html", b"&#1;" * 500_000),
        ("text/html", b"<a " + b"a/" * 1_500_000 + b">"),
        ("text/html", b"<a " * 300_000),
        ("text/html", b"<![CDATA[<a" * 100_000),
        ("text/html", b"<a href=x>" * 100_000),
        ("text/html; charset=utf-7", b"+ADwAcAA+-"),
        ("application/vnd.pypi.simple.v1+json", b'{"files":[' + b"{}," * 100_000 + b"0]}"),
    ],
    ids=["tags", "entities", "attributes", "open", "sections", "nested", "hidden", "rows"],
)
def test_a_page_that_would_take_minutes_is_refused_at_once(kind, content):
    charset = kind.partition("charset=")[2]
    page = Page(url="x:", kind=kind, charset=charset, etag="", modified="", content=content)
    started = time.process_time()
    with pytest.raises(MalformedError, match="not an index page"):
        parse_page("torch", page, "x")
    assert time.process_time() - started < 2


def test_links_are_read_as_people_write_them():
    torch, vision = "torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl", "torch-2.9.1.tar.gz"
    content = f"""<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1">
        <base href='https://files.invalid/'></head><body><!-- of a night --><p>
        <A  HREF="a/{torch}#sha256={"0" * 64}" data-requires-python=">=3.9,<4" hidden
        data-upload-time='2026-01-01'><code>{torch}</code></A><br/>
        <a rel=x href={vision}>{vision}</a
        ></body></html>""".encode()
    page = Page(
        url="https://x/", kind="text/html", charset="", etag="", modified="", content=content
    )
    found = parse_page("torch", page, "x")
    assert [each.filename for each in found.packages] == [torch, vision]
    assert found.packages[0].url.startswith("https://files.invalid/a/torch")
    assert found.packages[0].requires_python == ">=3.9,<4"
    assert found.repository_version == "1.1"
    assert found.uploaded[torch] == "2026-01-01"
