"""Destinations, retention and patch instructions, as functions of their inputs."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec

from generator.channel.destinations import hosts, labelled_url, parse_destination
from generator.channel.patching import Hotfix, Requirements, instructions, is_patches, yank_text
from generator.channel.publishing import Plan, Row
from generator.channel.repodata import Record
from generator.channel.retention import retire, series_of, train_of
from generator.channel.retrying import Retries
from generator.channel.stores import Outgoing
from generator.commands import publish
from generator.errors import DeclinedError, IntegrityError, SelectionError, UnreachableError
from generator.model import Keep, Retention
from generator.rendering.workflows import workflow_settings
from tests.counts import count
from tests.packages import Parts

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def record(
    name: str,
    version: str,
    build: str = "cpu_generic_py312_h0_0",
    *,
    days: float = 0,
    depends: tuple[str, ...] = (),
    number: int = 0,
) -> Record:
    return Record(
        file_name=f"{name}-{version}-{build}.conda",
        name=name,
        version=version,
        build=build,
        build_number=number,
        subdir="linux-aarch64",
        size=10,
        sha256="0" * 64,
        depends=depends,
        timestamp=int((NOW - timedelta(days=days)).timestamp() * 1000),
    )


@pytest.mark.parametrize(
    ("text", "label", "kind", "server", "channel", "url"),
    [
        ("s3://b/x/y", "", "s3", "s3://b", "x/y", ""),
        ("s3://b", "rc", "s3", "s3://b", "label/rc", ""),
        (
            "https://prefix.dev/ch",
            "",
            "prefix",
            "https://prefix.dev",
            "ch",
            "https://prefix.dev/ch",
        ),
        (
            "https://prefix.dev/ch",
            "rc",
            "prefix",
            "https://prefix.dev",
            "ch-rc",
            "https://prefix.dev/ch-rc",
        ),
        (
            "https://anaconda.org/me",
            "",
            "anaconda",
            "https://api.anaconda.org",
            "me",
            "https://conda.anaconda.org/me/label/main",
        ),
        (
            "https://anaconda.org/me",
            "dev",
            "anaconda",
            "https://api.anaconda.org",
            "me",
            "https://conda.anaconda.org/me/label/dev",
        ),
        ("quetz+http://q:8000/ch", "", "quetz", "http://q:8000", "ch", "http://q:8000/get/ch"),
        (
            "artifactory+https://a/artifactory/repo",
            "",
            "artifactory",
            "https://a/artifactory",
            "repo",
            "https://a/artifactory/repo",
        ),
    ],
)
def test_destinations(text, label, kind, server, channel, url):
    found = parse_destination(text, label=label)
    assert (found.kind, found.server, found.channel, found.url) == (kind, server, channel, url)


def test_a_label_of_a_folder_is_a_channel_below_it(tmp_path):
    found = parse_destination(str(tmp_path), label="nightly")
    assert found.server == str(tmp_path / "label" / "nightly")
    assert found.url == (tmp_path / "label" / "nightly").as_uri()
    assert parse_destination(tmp_path.as_uri()).server == str(tmp_path)


@pytest.mark.parametrize(
    ("channel", "main", "nightly"),
    [
        ("armtorch", "armtorch", "armtorch/label/nightly"),
        ("https://c.org/arm/", "https://c.org/arm/", "https://c.org/arm/label/nightly"),
        ("https://prefix.dev/arm", "https://prefix.dev/arm", "https://prefix.dev/arm-nightly"),
        (
            "https://repo.prefix.dev/arm",
            "https://repo.prefix.dev/arm",
            "https://repo.prefix.dev/arm-nightly",
        ),
        (
            "https://conda.anaconda.org/arm/label/main",
            "https://conda.anaconda.org/arm/label/main",
            "https://conda.anaconda.org/arm/label/nightly",
        ),
        ("quetz+http://q:80/arm", "http://q:80/get/arm", "http://q:80/get/arm-nightly"),
        ("artifactory+https://a/r/arm", "https://a/r/arm", "https://a/r/arm-nightly"),
    ],
)
def test_what_clients_call_a_label(channel, main, nightly):
    assert labelled_url(channel, "") == main
    assert labelled_url(channel, "nightly") == nightly


def test_labels_cannot_lead_elsewhere():
    for label in ("../x", "a/b", "-x", ""):
        if label:
            with pytest.raises(SelectionError):
                parse_destination("s3://b/x", label=label)
    assert "secret" not in str(parse_destination("quetz+https://me:secret@server/ch"))


def test_hosts_have_what_their_kind_needs():
    for kind, host in hosts().items():
        assert kind in {"folder", "s3"} or (host.repodata and host.variable)


def test_a_kind_of_host_is_named_wherever_one_is_chosen():
    kept = {kind: host for kind, host in hosts().items() if kind not in {"folder", "s3"}}
    assert set(workflow_settings().secrets) == {host.variable for host in kept.values()}
    with pytest.raises(SelectionError) as refused:
        parse_destination("nothing+https://server/channel")
    help_text = publish.command.help or ""
    for kind, host in kept.items():
        assert kind in refused.value.next_step
        assert f"{host.host or kind + '+https:'}/" in help_text
        assert host.variable in help_text


def test_trains_and_series_follow_the_names():
    assert [train_of(v) for v in ("2.15.0", "2.16.0rc1", "2.16.0.dev20261101", "odd")] == [
        "stable",
        "rc",
        "nightly",
        "stable",
    ]
    assert series_of(record("pytorch", "2.14.1", "cuda130_generic_py314_h1_200")) == (
        "pytorch",
        "linux-aarch64",
        "cuda130",
        "314",
        "stable",
    )


def nightlies(count: int, **extra) -> list[Record]:
    return [
        record("pytorch", f"2.16.0.dev{day:08}", days=count - day, **extra) for day in range(count)
    ]


def test_retention_by_count_age_and_builds():
    kept = Retention(keep={"nightly": Keep(versions=3)})
    assert len(retire(nightlies(10), kept, NOW)) == 7
    kept = Retention(keep={"nightly": Keep(days=4)})
    assert len(retire(nightlies(10), kept, NOW)) == 6
    old = Retention(keep={"nightly": Keep(days=1)})
    ancient = [record("pytorch", "2.16.0.dev1", days=900)]
    assert retire(ancient, old, NOW) == (), "the last build of a series stays"
    builds = [record("pytorch", "2.15.0", f"cpu_generic_py312_h0_{n}", number=n) for n in range(4)]
    found = retire(builds, Retention(keep={"stable": Keep(builds=2)}), NOW)
    assert [each.record.build_number for each in found] == [0, 1]
    assert retire(builds, Retention(), NOW) == (), "stable is kept"


def test_candidates_are_of_their_labels_train():
    """Upstream's candidates are called 2.16.0, as the release will be."""
    builds = [
        record("pytorch", f"2.{minor}.0", f"cpu_generic_py312_h{minor}_0") for minor in range(6)
    ]
    assert retire(builds, Retention(), NOW) == ()
    found = retire(builds, Retention(), NOW, train="rc")
    assert [each.record.version for each in found] == ["2.0.0", "2.1.0", "2.2.0"]


def test_a_package_of_unknown_age_is_not_called_old():
    unknown = [replace(each, timestamp=0) for each in nightlies(3)]
    assert retire(unknown, Retention(keep={"nightly": Keep(days=1)}), NOW) == ()


def test_needs_that_nobody_understands_retire_nothing():
    libraries = [record("libtorch", f"2.16.0.dev{n}", f"cpu_h{n}_0") for n in range(3)]
    odd = record("pytorch", "2.16.0.dev0", depends=("libtorch >=>2",))
    with pytest.raises(IntegrityError, match="no solver understands"):
        retire([*libraries, odd], Retention(keep={"nightly": Keep(versions=1)}), NOW)


def test_a_replaced_package_counts_as_it_will_be():
    """A budget of what is there: a larger file under a name makes it more."""

    def row(action, size, there=0):
        package = Outgoing(path=Path("x"), record=replace(record("x", "1"), size=size))
        return Row(package=package, action=action, there=there)

    plan = Plan(rows=(row("upload", 5), row("replace", 30, 10), row("skip", 7)), bytes_before=100)
    assert plan.bytes_after == 100 + 5 + 20
    assert plan.bytes_to_send == 35


def test_what_a_kept_package_needs_is_kept():
    libraries = [record("libtorch", f"2.16.0.dev{n}", f"cpu_h{n}_0") for n in range(3)]
    needs = record("pytorch", "2.16.0.dev0", depends=("libtorch 2.16.0.dev0 cpu_h0_0",))
    found = retire([*libraries, needs], Retention(keep={"nightly": Keep(versions=1)}), NOW)
    assert [each.record.version for each in found] == ["2.16.0.dev1"]
    pinned = retire(
        libraries, Retention(keep={"nightly": Keep(versions=1)}), NOW, pinned=[libraries[1].key]
    )
    assert [each.record.version for each in pinned] == ["2.16.0.dev0"]


@settings(max_examples=count("fuzz"))
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 6),
            st.integers(0, 2),
            st.sampled_from(["", "a", "b", "c"]),
            st.integers(0, 6),
        ),
        max_size=20,
    ),
    st.integers(1, 3),
)
def test_whatever_is_retired_what_stays_can_still_be_installed(rows, versions):
    records = list(
        {
            r.key: r
            for name, version, number, needed, wanted in rows
            for r in [
                record(
                    name,
                    f"1.{version}.dev1",
                    f"cpu_{number}",
                    number=number,
                    depends=(f"{needed} 1.{wanted}.dev1",) if needed else (),
                )
            ]
        }.values()
    )
    gone = retire(records, Retention(keep={"nightly": Keep(versions=versions)}), NOW)
    left = [each for each in records if each.key not in {g.record.key for g in gone}]
    for each in left:
        for spec in each.depends:
            fits = MatchSpec(spec)
            if any(other.fits(fits) for other in records):
                assert any(other.fits(fits) for other in left), (each.key, spec)
    assert {series_of(r) for r in left} == {series_of(r) for r in records}


def test_instructions_are_the_same_for_the_same_input_in_any_order():
    hotfix = Hotfix(
        reason="a reason to be",
        match="pytorch >=2",
        depends=Requirements(add=("numpy <3",)),
        yank=("linux-aarch64/x-1-0.conda",),
    )
    records = [record("pytorch", f"2.{n}.0") for n in range(4)] + [record("x", "1", "0")]
    forward = instructions([hotfix], records, subdirs=["noarch", "linux-aarch64"])
    backward = instructions([hotfix], records[::-1], subdirs=["linux-aarch64", "noarch"])
    assert forward == backward
    assert forward.file_name == backward.file_name
    assert not forward.empty
    assert forward.subdirs["linux-aarch64"]["remove"] == ["x-1-0.conda"]
    assert instructions([], records, subdirs=["noarch"]).empty


def test_a_package_of_instructions_holds_nothing_else(tmp_path):
    hotfix = Hotfix(reason="a reason to be", yank=("linux-aarch64/x-1-0.conda",))
    made = instructions([hotfix], [record("x", "1", "0")], subdirs=["linux-aarch64"])
    (tmp_path / "noarch").mkdir()
    path = made.package(tmp_path / "noarch")
    assert is_patches(path)
    sound = Parts.read(path)
    for part, name in (("payload", "site-packages/evil.pth"), ("info", "info/link.json")):
        forged = copy.deepcopy(sound)
        getattr(forged, part)[name] = b"{}"
        assert not is_patches(forged.write(path.parent))
    assert not is_patches(sound.write(path.parent)), "sealed, which no publication does"
    path.write_bytes(b"PK")
    assert not is_patches(path)


def test_a_yank_says_why():
    assert "because it is broken" in yank_text(["a/b.conda"], "because it is broken")
    with pytest.raises(SelectionError):
        yank_text(["a/b.conda"], "bad")


def test_only_silence_is_tried_again():
    tries = []

    def fail(error):
        tries.append(error)
        raise error

    retries, told = Retries(times=3, first_pause=0.001), list[str]()
    with pytest.raises(UnreachableError):
        retries.run(lambda: fail(UnreachableError("no answer")), told.append)
    assert (len(tries), len(told)) == (3, 2)
    with pytest.raises(DeclinedError):
        retries.run(lambda: fail(DeclinedError("no")), told.append)
    assert len(tries) == 4


def test_every_version_of_a_metapackage_is_asked_for_by_itself():
    """pytorch-cuda 13.0 selects a line that is kept beside the one of 13.2."""
    both = [
        replace(
            record("pytorch-cuda", version, f"h{number}_{number}", number=number, days=9),
            subdir="noarch",
        )
        for version in ("13.0", "13.2")
        for number in (0, 1)
    ]
    keep = Retention(keep={"stable": Keep(versions=1, builds=1)})
    assert [each.record.key for each in retire(both, keep, NOW)] == [
        "noarch/pytorch-cuda-13.0-h0_0.conda",
        "noarch/pytorch-cuda-13.2-h0_0.conda",
    ]
