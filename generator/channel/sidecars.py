"""Attestations beside packages, in channels whose files are ours to write (CEP 50).

``<package>.sigs`` is a JSON array of sigstore bundles, which only ever gets longer;
``<package>.sigs.<sha256>`` has the same bytes for who knows their digest from the repodata.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from generator.channel.repodata import SIGS, Repodata
from generator.channel.stores import TRIES, Store, outrun, source_path
from generator.documents import split_json_array


def attest(store: Store, key: str, bundle: bytes) -> None:
    """Put a bundle behind those that a package has, unless it is among them.

    Raises MalformedError: its sidecar is no array. UnreachableError: others keep changing it.
    """
    path, bundle = f"{key}{SIGS}", bundle.strip()
    for _ in range(TRIES):
        before = store.read(path)
        there = [] if before is None else [bytes(raw) for raw in split_json_array(before, path)]
        content = before
        if before is None or bundle not in there:
            content = b"[" + b",".join([*there, bundle]) + b"]"
        assert content is not None  # noqa: S101 - where nothing was there, it is new
        # who reads the repodata must find what it names: that comes first, and stays
        if _swap(store, f"{path}.{hashlib.sha256(content).hexdigest()}", None, content) and _swap(
            store, path, before, content
        ):
            return
    raise outrun(path)


def _swap(store: Store, path: str, before: bytes | None, after: bytes) -> bool:
    """Whether a file is `after` now; it is written where it was `before`."""
    done = False

    def edit(there: bytes | None) -> bytes | None:
        nonlocal done
        done = there in {before, after}
        return after if done and there != after else None

    store.change(path, edit)
    return done


def detach(store: Store, keys: Collection[str]) -> None:
    """Take the sidecars of packages away, which are about to go or to change."""
    for path in store.sidecars() if keys else ():
        if path.partition(SIGS)[0] in keys:
            store.delete(path)


def advertise(store: Store) -> bool:
    """Let the repodata that the indexer goes on from name the sidecars; whether it changed."""
    revisions: dict[str, dict[str, set[str]]] = {}
    for path in store.sidecars():
        key, _, digest = path.partition(SIGS)
        subdir, _, name = key.partition("/")
        revisions.setdefault(subdir, {}).setdefault(name, set()).add(digest.removeprefix("."))
    changed = False
    for subdir, names in revisions.items():
        path = source_path(store, subdir)
        if (content := store.read(path)) is None:
            continue
        found = Repodata.parse(content, path)
        unsettled = [
            name
            for name, digests in names.items()
            if name in found.rows and digests != {"", found.says(name).attestations_sha256}
        ]
        read = {name: store.read(f"{subdir}/{name}{SIGS}") for name in unsettled}
        wanted = {
            name: hashlib.sha256(sidecar).hexdigest()
            for name, sidecar in read.items()
            if sidecar is not None
        }

        def edit(
            there: bytes | None, wanted: dict[str, str] = wanted, path: str = path
        ) -> bytes | None:
            nonlocal changed
            if there is None:
                return None
            repodata = Repodata.parse(there, path)
            rows = repodata.advertised(wanted)
            changed = changed or bool(rows)
            return repodata.edited((), rows) if rows else None

        if wanted:
            store.change(path, edit)
    return changed
