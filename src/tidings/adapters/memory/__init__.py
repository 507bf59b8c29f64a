"""Stores that live as long as the process: for tests, and for servers that need to remember nothing."""

from tidings.adapters.memory.stores import MemoryStores

__all__ = ["MemoryStores"]
