"""Uploading files: a service of every domain that gives slots, and what becomes of the files (XEP-0363)."""

from tidings.features.upload.cleaning import FileCleaning
from tidings.features.upload.mentions import FileMentions
from tidings.features.upload.service import IDENTITY, PREFIX, Uploads
from tidings.features.upload.slots import Slots, WantedFile

__all__ = ["IDENTITY", "PREFIX", "FileCleaning", "FileMentions", "Slots", "Uploads", "WantedFile"]
