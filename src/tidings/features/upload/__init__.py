"""Uploading files: a service of every domain that gives slots, and what becomes of the files (XEP-0363)."""

from tidings.features.upload.cleaning import FileCleaning
from tidings.features.upload.kind import PREFIX, upload_kind
from tidings.features.upload.mentions import FileMentions
from tidings.features.upload.service import Uploads
from tidings.features.upload.slots import Slots, WantedFile

__all__ = ["PREFIX", "FileCleaning", "FileMentions", "Slots", "Uploads", "WantedFile", "upload_kind"]
