"""What conda-forge's packages of the same names have and ours have not: each with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from generator.rendering import render, tree_records

pytestmark = pytest.mark.integration


class Package(BaseModel):
    """One package; the file explains the words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: str
    depends: frozenset[str]
    cuda: frozenset[str] = frozenset()
    constrains: frozenset[str]
    run_exports: frozenset[str]
    files: tuple[str, ...] = ()
    about: frozenset[str]
    theirs: dict[str, str]
    ours: dict[str, str]
    versions: dict[str, str] = {}


_FILE = Path(__file__).parent.parent / "conda_forge_recipes.yaml"
PACKAGES = {
    name: Package.model_validate(row)
    for name, row in YAML(typ="safe").load(_FILE)["packages"].items()
}


@pytest.fixture(scope="module")
def rendered(project):
    return render(project.declared(), project.locked())


@pytest.fixture(scope="module")
def records(rendered):
    return [r for _, r in tree_records(rendered).values() if r["subdir"] == "linux-aarch64"]


@pytest.mark.parametrize("name", PACKAGES)
def test_what_one_has_and_the_other_not_has_its_reason(name, records, rendered):
    theirs = PACKAGES[name]
    missing: set[str] = set()
    added: set[str] = set()
    for record in (each for each in records if each["name"] == name):
        depends, constrains = (
            {spec.split()[0] for spec in record[key]} for key in ("depends", "constrains")
        )
        cuda = record["build"].startswith("cuda")
        wanted = theirs.depends | (theirs.cuda if cuda else frozenset())
        missing |= (wanted - depends) | (theirs.constrains - constrains)
        added |= (depends - wanted) | (constrains - theirs.constrains)
    path = next(path for path in rendered.files if path.endswith(f"/{name}/recipe.yaml"))
    recipe = YAML(typ="safe", pure=True).load(rendered.files[path].decode())
    missing |= theirs.about - set(recipe["about"])
    exports = str(recipe["requirements"].get("run_exports", []))
    assert all(each in exports for each in theirs.run_exports)
    files = {each for each in theirs.theirs if "/" in each}
    # what is for any Python has no python_abi
    assert missing - {"python_abi"} == theirs.theirs.keys() - files
    assert added == set(theirs.ours)
