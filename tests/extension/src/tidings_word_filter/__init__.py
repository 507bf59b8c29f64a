"""Word filter: an extension for Tidings that refuses or rewrites messages with certain words."""

from tidings_word_filter.word_filter import WordFilter

__all__ = ["WordFilter"]
