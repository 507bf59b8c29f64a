"""Archive: an account reads its own history, filtered, in pages, in either direction (XEP-0313)."""

from tidings.features.archive.service import Archive, ArchiveOptions

__all__ = ["Archive", "ArchiveOptions"]
