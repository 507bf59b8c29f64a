"""The options of uploads: how large files are, how many, and how long they are kept."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.shares import share
from tidings.ports.files import Quota


class UploadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Files that people upload over HTTP (XEP-0363)."""

    max_file_bytes: Annotated[int, share("Octets of the largest file.", "not-acceptable")] = 104_857_600
    account_files: Annotated[int, share("Files that an account may have here; 0 is any number.", ge=0)] = (
        10_000
    )
    account_bytes: Annotated[
        int,
        share(
            "Octets that the files of an account may have together; 0 is any number. What is announced "
            "counts, too.",
            ge=0,
        ),
    ] = 1_073_741_824
    domain_files: Annotated[
        int, Meta(description="Files that all accounts of the domain may have; 0 is any number.", ge=0)
    ] = 0
    domain_bytes: Annotated[
        int,
        Meta(description="Octets that the files of the domain may have together; 0 is any number.", ge=0),
    ] = 107_374_182_400
    slots_per_minute: Annotated[
        int, Meta(description="Slots that an account may have in a minute; 0 is any number.", ge=0)
    ] = 60
    slot_seconds: Annotated[
        int, Meta(description="Seconds for which a slot waits for the upload to begin.", ge=1)
    ] = 300
    upload_seconds: Annotated[
        int,
        Meta(
            description="Seconds that one request has to send its octets; so long an upload that has broken "
            "off may be gone on with, too.",
            ge=1,
        ),
    ] = 3_600
    keep_days: Annotated[
        int,
        Meta(
            description="Days for which files are kept; 0 is for ever. What is sent in messages goes "
            "earlier, with the last of them that is retracted.",
            ge=0,
            le=36_500,
        ),
    ] = 90

    @property
    def account_quota(self) -> Quota:
        """What an account may have."""
        return Quota(self.account_files, self.account_bytes)

    @property
    def domain_quota(self) -> Quota:
        """What a domain may have."""
        return Quota(self.domain_files, self.domain_bytes)
