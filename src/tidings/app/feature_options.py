"""The option structs of all features, by the name of their section."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tidings.kernel.feature import Feature


def features() -> tuple[type[Feature], ...]:
    """Give the features that the server is composed of; loads all of them."""
    from tidings.app import compose  # noqa: PLC0415  # only what serves or documents features needs them

    return tuple(compose.FEATURES)


def feature_options() -> dict[str, type[msgspec.Struct]]:
    """Give the option struct of every feature that has one."""
    return {feature.name(): feature.Options for feature in features() if feature.Options is not None}
