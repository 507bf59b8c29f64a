"""Extensions: features of others, from installed Python packages that the configuration names.

A package offers an extension by an entry point in the group `tidings.features`, which leads to a feature or
to a tuple of features. Nothing of a package is imported before `extensions` in `[server]` names it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from tidings.base.errors import TidingsError
from tidings.kernel.feature import Feature
from tidings.operations.all import operations_of
from tidings.operations.catalogue import Operation

GROUP: Final = "tidings.features"
"""The group of entry points."""


class ExtensionError(TidingsError):
    """An extension cannot be loaded; the message names it and says why."""


class Extension(msgspec.Struct, frozen=True):
    """What an entry point has led to."""

    name: str
    package: str
    """The package that brings it, with its version."""
    features: tuple[type[Feature], ...]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What its features add to the catalogue."""
        return tuple(operation for feature in self.features for operation in operations_of(feature))


def installed() -> dict[str, list[EntryPoint]]:
    """Give the entry points of all installed packages by name; several of one name are a mistake."""
    found: dict[str, list[EntryPoint]] = {}
    for entry_point in entry_points(group=GROUP):
        known = found.setdefault(entry_point.name, [])
        if entry_point not in known:  # a directory may stand on the path twice
            known.append(entry_point)
    return found


def load(names: Iterable[str]) -> tuple[tuple[Extension, ...], dict[str, str]]:
    """Import extensions, and give those that can be used and, by name, why others cannot."""
    loaded: list[Extension] = []
    problems: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            loaded.append(load_one(name))
        except ExtensionError as error:
            problems[name] = str(error)
    return tuple(loaded), problems


def load_one(name: str) -> Extension:
    """Import one extension. Raises `ExtensionError`."""
    available = installed()
    if name not in available:
        raise ExtensionError(f'"{name}" is not installed; {_what_there_is(name, available)}')
    entry_point, *others = available[name]
    if others:
        packages = ", ".join(_package(each) for each in available[name])
        raise ExtensionError(f'"{name}" is in several packages: {packages}; keep one of them')
    try:
        found = entry_point.load()
    except Exception as error:  # whatever a module of others does when it is imported
        raise ExtensionError(
            f'"{name}" of {_package(entry_point)} cannot be imported: {type(error).__name__}: {error}'
        ) from error
    features = found if isinstance(found, tuple) else (found,)
    for feature in features:
        if reason := _why_not(feature):
            raise ExtensionError(f'"{name}" of {_package(entry_point)}: {reason}')
    return Extension(name, _package(entry_point), features)


def _why_not(feature: Any) -> str:  # noqa: ANN401  # whatever the entry point leads to
    """Say what keeps it from being a feature; nothing where it is one."""
    if not (isinstance(feature, type) and issubclass(feature, Feature)):
        return f"{feature!r} is no subclass of tidings.api.Feature"
    for operation in feature.operations:
        if not isinstance(operation, Operation):
            return f"{operation!r} in `operations` of {feature.name()} is no operation"
    options: Any = feature.Options
    if options is not None and not (isinstance(options, type) and issubclass(options, msgspec.Struct)):
        return f"`Options` of {feature.name()} is no msgspec.Struct"
    return ""


def _what_there_is(name: str, available: Iterable[str]) -> str:
    known = sorted(available)
    if not known:
        return f"no package in this Python has an entry point in the group {GROUP}"
    near = difflib.get_close_matches(name.replace("_", "-"), known, n=1)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return hint + "installed: " + ", ".join(f'"{each}"' for each in known)


def _package(entry_point: EntryPoint) -> str:
    distribution = entry_point.dist
    return "a package" if distribution is None else f"{distribution.name} {distribution.version}"
