"""The channel's page: a folder of static files, no server, no tracking, readable from disk."""

from generator.page.content import (
    Build,
    Choice,
    CoverageCell,
    CoverageRow,
    Offer,
    PackagePage,
    PageContent,
    Sizes,
    Source,
)
from generator.page.site import write_site

__all__ = [
    "Build",
    "Choice",
    "CoverageCell",
    "CoverageRow",
    "Offer",
    "PackagePage",
    "PageContent",
    "Sizes",
    "Source",
    "write_site",
]
