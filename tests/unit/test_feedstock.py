"""feedstock.yaml: what is wrong is named, with what was perhaps meant."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from generator.errors import FeedstockError
from generator.feedstock import IndexSource, read_feedstock, schema_text
from generator.model import PythonBuild, Pythons
from generator.upstream.claims import claims_of
from tests.own_feedstock import DECLARED

ROOT = Path(__file__).parents[2]
GOOD = DECLARED.read_text(encoding="utf-8")
TYPOS = YAML(typ="safe").load(ROOT / "tests" / "feedstock_typos.yaml")


def read(folder, text):
    path = folder / "feedstock.yaml"
    path.write_text(text, encoding="utf-8")
    return read_feedstock(path)


def test_a_declaration_is_valid_and_typed():
    feedstock = read_feedstock(DECLARED)
    assert set(feedstock.subdirs) >= {"linux-aarch64", "osx-arm64"}
    legacy = next(line for line in feedstock.lines if line.name == "legacy-2.8")
    assert legacy.pythons == Pythons((PythonBuild(3, 9),))


def test_the_committed_declaration_is_valid(committed):
    assert read_feedstock(committed / "feedstock.yaml").subdirs


def test_the_committed_schema_is_the_models():
    committed = (ROOT / "docs" / "feedstock.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "regenerate it with: make schemas"


#: pydantic's and ruamel's own words, which are nobody's who writes a feedstock
INNER = (
    "tuple[",
    "literal[",
    "Literal[",
    "instance of",
    "Input should",
    "function-",
    "Closed",
    "_missing",
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("policies:", "policys:", "policys: unknown key; perhaps you meant 'policies'"),
        ("base: [", "bases: [", "subdirs.linux-aarch64.bases: unknown key; perhaps you meant"),
        ("  linux-aarch64:", "  linux-arch64:", "linux-arch64"),
        ("{kind: pip}", "{kind: 3}", "indexes.pypi.kind"),
        ("{kind: pip}", "{kind: pip, url: https://m.example/simple}", "what pip is configured to"),
        ("compression_level: 9", "compression_level: nine", "policies.compression_level"),
        ("compression_level: 9", "compression_level: 40", "policies.compression_level"),
        ("pythons: all", "pythons: [3.x]", "pythons"),
        ("pythons: all", "pythons: [3.10]", 'in quotes: "3.10"'),
        ("torch: ==2.8.*", "torch: =2.8", "write it like ==2.8.*"),
        ("name: legacy-2.8", "name: ../../legacy", "name of a folder below recipes/"),
        ("accelerators: [cpu, cuda, cuda130]", "accelerators: [gpu]", "accelerators"),
        ("indexes: [pypi]", "indexes: [pipy]", "trains.stable.indexes names 'pipy'"),
        ("packages: [torch, ", "packages: [", "packages leaves torch out"),
        ("channel: armtorch", "channel: [", "not readable as YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path, old, new, expected):
    assert old in GOOD
    with pytest.raises(FeedstockError) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert expected in str(caught.value)
    assert "feedstock.yaml" in caught.value.where
    assert caught.value.next_step
    assert not [part for part in INNER if part in str(caught.value)]


@pytest.mark.parametrize("row", TYPOS["rows"], ids=[row["text"] for row in TYPOS["rows"]])
def test_a_refusal_says_the_key_what_was_read_and_what_to_write(tmp_path, row):
    with pytest.raises(FeedstockError) as caught:
        read(tmp_path, TYPOS["head"] + row["text"] + "\n")
    for part in row["says"]:
        assert part in str(caught.value)
    assert re.search(r"\bline:? \d", str(caught.value)), caught.value
    for part in (*row.get("never", []), *INNER):
        assert part not in str(caught.value)


def test_an_empty_file_and_a_missing_one_are_two_messages(tmp_path):
    with pytest.raises(FeedstockError, match=r"feedstock\.schema\.json"):
        read(tmp_path, "")
    with pytest.raises(FeedstockError, match="there is no such file"):
        read_feedstock(tmp_path / "nowhere.yaml")


def test_not_utf8_is_an_error_and_not_a_traceback(tmp_path):
    path = tmp_path / "feedstock.yaml"
    path.write_bytes(b"channel: \xff\xfe")
    with pytest.raises(FeedstockError, match="not readable"):
        read_feedstock(path)


def test_the_example_in_the_documentation_is_a_feedstock(tmp_path):
    text = (ROOT / "docs" / "indexes.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "feedstock.yaml"
    path.write_text(example, encoding="utf-8")
    feedstock = read_feedstock(path)
    assert [feedstock.label(train) for train in feedstock.trains] == ["", "rc", "nightly"]
    for name, source in feedstock.indexes.items():
        claims_of(name, source)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("label: nightly", "also that of"),
        ("label: linux-aarch64", "a subdir's name"),
        ("label: ../up", "pattern"),
        ("releases: 61", "less than or equal to 60"),
        ("minor: 2", "perhaps you meant 'minors'"),
    ],
)
def test_trains_that_would_mix_or_mean_nothing_are_refused(tmp_path, change, said):
    path = tmp_path / "feedstock.yaml"
    path.write_text(
        "channel: c\nmaintainers: [m]\nindexes: {pypi: {kind: pip}}\n"
        f"trains: {{nightly: {{}}, rc: {{{change}}}}}\n"
        "subdirs: {linux-aarch64: {accelerators: [cpu]}}\n",
        encoding="utf-8",
    )
    with pytest.raises(FeedstockError, match=said):
        read_feedstock(path)


def test_a_pytorch_index_must_end_in_an_accelerator():
    source = IndexSource(kind="pytorch", url="https://download.pytorch.org/whl")
    with pytest.raises(FeedstockError, match="which is no accelerator"):
        claims_of("torch", source)


@pytest.mark.parametrize("value", ["2026-13-01", "!!int x", "!!bool x", "9" * 5000])
def test_a_value_that_python_chokes_on_is_named(tmp_path, value):
    with pytest.raises(FeedstockError, match="not readable as YAML"):
        read(tmp_path, f"channel: {value}\n")
