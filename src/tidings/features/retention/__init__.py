"""Retention: archives keep what their domain wants to keep, and nothing of who is no more."""

from tidings.features.retention.bounds import RETENTION, OwnBounds, bounds_of_room, own_bounds, property_of
from tidings.features.retention.options import RetentionOptions
from tidings.features.retention.passes import FIRST_PASS, Retention

__all__ = [
    "FIRST_PASS",
    "RETENTION",
    "OwnBounds",
    "Retention",
    "RetentionOptions",
    "bounds_of_room",
    "own_bounds",
    "property_of",
]
