"""What the tests of a CI's jobs came to, as actions/attest signs it.

Source: in-toto/attestation, spec/predicates/test-result.md (0.1.0). A job gives a package only
after its tests passed, so what is there was installed; what no job can do is a warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from generator.building import file_name
from generator.matrix import variants
from generator.model import Variant
from generator.packages import choices
from generator.project import Project
from generator.rendering import workflow_settings


def test_result(project: Project, there: Iterable[str]) -> dict[str, Any]:
    """Return the predicate about packages, by the ids of their variants.

    Raises LockError, FeedstockError: the files cannot be used.
    """
    ids = set(there)
    known = variants(project.declared(), project.known())
    # of a choice one build need not be installable: of those nothing is said
    found = [each for each in known if each.id in ids and each.package not in choices()]
    names = {each.id: file_name(each, project.tree) for each in found}
    warned = [f"{names[each.id]}: {text}" for each in found if (text := _not_done(each))]
    return {
        "result": "WARNED" if warned else "PASSED",
        "configuration": [
            {
                "name": project.lock.name,
                "digest": {"sha256": hashlib.sha256(project.lock.read_bytes()).hexdigest()},
            }
        ],
        "passedTests": [f"{names[each.id]}: {_done(each)}" for each in found],
        "warnedTests": warned,
        "failedTests": [],
    }


def _done(variant: Variant) -> str:
    """Say what its job did: programs of a subdir without an interpreter of its own do not run."""
    foreign = variant.subdir in workflow_settings().architectures
    return "installed" if foreign else "installed, and its tests run"


def _not_done(variant: Variant) -> str:
    if variant.subdir in workflow_settings().architectures:
        return "not imported"
    return "not run on a GPU" if variant.accelerator.driver else ""
