"""The sessions of an update: pages through a store by ETag, parts of wheels past it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import requests

from generator.atomic import on_disk
from generator.documents import limits
from generator.transport import RETRIED, HttpPolicy, from_status, open_session, read_body, typed
from generator.upstream.page_store import Page, PageStore
from generator.upstream.traffic import Traffic


@dataclass
class Web:
    """The two sessions of an update, and what they cost."""

    policy: HttpPolicy
    store: PageStore
    pages: requests.Session
    wheels: requests.Session
    traffic: Traffic = field(default_factory=Traffic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pages.close()
        self.wheels.close()

    def knock(self, url: str, seconds: float) -> None:
        """Find out whether a server has anything to say of a page, within some seconds.

        Raises UnreachableError: it has not, or says that it cannot now.
        """
        patience = replace(
            self.policy,
            connect_seconds=min(self.policy.connect_seconds, seconds / 2),
            timeout_seconds=min(self.policy.timeout_seconds, seconds / 2),
            answer_seconds=seconds,
        )
        with open_session(patience, retries=True) as session, typed(url):
            answer = session.head(url, headers={"Accept": "*/*"}, allow_redirects=True)
        if answer.status_code in RETRIED:
            raise from_status(answer.status_code, url)

    def page(self, url: str, accept: str = "*/*") -> Page:
        """Get a small file; the one that is stored where the server says that it is still that.

        Raises AbsentError: the server says that it is not there.
        UnreachableError: it does not answer, or not usefully.
        UnsafeArchiveError: the answer is longer than any page.
        """
        known = self.store.find(url)
        headers = {"Accept": accept, **(known.questions() if known else {})}
        with typed(url):
            response = self.pages.get(url, headers=headers, stream=True)
            if response.status_code == requests.codes.not_modified and known is not None:
                response.close()
                self.traffic.count_index(0)
                return known
            content = read_body(response, max(limits().page.json, limits().page.html), url)
            self.traffic.count_index(len(content))
            response.raise_for_status()
        page = Page.of(response, content)
        self.store.keep(url, page)
        return page


def open_web(cache: Path, policy: HttpPolicy | None = None) -> Web:
    """Open the sessions; ``cache`` is the folder of the stored pages, made when missing.

    Raises StorageError: it cannot be made.
    """
    policy = policy or HttpPolicy()
    with on_disk("the cache cannot be made", cache):
        cache.mkdir(parents=True, exist_ok=True)
    return Web(
        policy,
        PageStore(cache),
        open_session(policy, retries=True),
        open_session(policy, files=True, retries=True),
    )
