"""Sync: what has happened to an account since a cursor, in one answer."""

from tidings.features.sync.cursor import SyncCursor, SyncRun
from tidings.features.sync.pages import (
    DEFAULT_PAGE,
    LARGEST_PAGE,
    PageLimits,
    SyncPage,
    goes_on,
    ranges,
    read_page,
)
from tidings.features.sync.service import Sync, SyncOptions

__all__ = [
    "DEFAULT_PAGE",
    "LARGEST_PAGE",
    "PageLimits",
    "Sync",
    "SyncCursor",
    "SyncOptions",
    "SyncPage",
    "SyncRun",
    "goes_on",
    "ranges",
    "read_page",
]
