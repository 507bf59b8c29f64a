"""Adapters over a directory of the machine."""
