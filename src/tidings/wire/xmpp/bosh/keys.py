"""The key sequence that protects a session whose requests others can read (XEP-0124 §15)."""

from __future__ import annotations

import hashlib
import hmac
import re

_KEY = re.compile(r"[0-9A-Fa-f]{40}\Z")


class KeySequence:
    """Follows a chain of SHA-1 keys backwards: each request shows what the one before was made from."""

    __slots__ = ("_expected",)

    def __init__(self, first: str | None) -> None:
        self._expected = None if first is None else first.lower()

    def accept(self, key: str | None, new_key: str | None) -> bool:
        """Tell whether a request with these attributes is the next of the sequence, and go on to it if so."""
        if self._expected is not None and not _follows(key, self._expected):
            return False
        if self._expected is None and new_key is None:
            return True  # §15.1: this session does without
        last = new_key if new_key is not None else key  # §15.5
        assert last is not None
        self._expected = last.lower()
        return True


def _follows(key: str | None, expected: str) -> bool:
    """Tell whether the hash of this key is the one shown before (§15.4: case does not matter)."""
    if key is None or _KEY.match(key) is None:
        return False
    # The key is hashed as the text that it was sent as; both cases are in use for it.
    digests = {hashlib.sha1(form.encode()).hexdigest() for form in (key, key.lower(), key.upper())}  # noqa: S324  # §15.3
    return any(hmac.compare_digest(digest, expected) for digest in digests)
