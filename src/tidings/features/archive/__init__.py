"""Archive: accounts read their own history, and rooms give theirs, filtered and in pages (XEP-0313)."""

from tidings.features.archive.options import ArchiveOptions
from tidings.features.archive.service import Archive

__all__ = ["Archive", "ArchiveOptions"]
