"""What `tidings check` finds: one thing that was looked at, and how it is mended."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    status: Status
    subject: str
    text: str
    mend: str = ""
