"""Tidings: a messaging server for applications."""
