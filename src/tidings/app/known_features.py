"""The features that a server can have: its own, and those of the extensions that its configuration names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from tidings.app.extensions import Extension
    from tidings.kernel.feature import Feature

DISABLED: Final = "disabled"
"""The option that stands beside the sections of features; no feature can be called so."""


class FeatureSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which features domains do without. Options of single features have sections of their own, below."""

    disabled: Annotated[
        tuple[str, ...],
        Meta(
            description="Features that are left out, by name. That of a domain, in "
            '`[host."example.org".features]`, stands in place of the one for all domains.'
        ),
    ] = ()


class KnownFeatures(msgspec.Struct, frozen=True):
    """Features by which a configuration is read."""

    features: tuple[type[Feature], ...]
    """Those of hosts where people have accounts."""
    of_services: tuple[type[Feature], ...] = ()
    """Those of the services of each domain that the others are not; rooms have some."""
    extensions: tuple[Extension, ...] = ()
    """Where features are from that are not the server's own; these are among `features`."""
    problems: dict[str, str] = {}
    """Why extensions that the configuration names cannot be used, by name."""

    @property
    def everywhere(self) -> tuple[type[Feature], ...]:
        """All of them."""
        return (*self.features, *self.of_services)

    @property
    def options(self) -> dict[str, type[msgspec.Struct]]:
        """The option struct of every feature that has one, by the name of its section."""
        return {each.name(): each.Options for each in self.everywhere if each.Options is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all features, sorted; several that share a section have one name."""
        return tuple(sorted({each.name() for each in self.everywhere}))

    def why_not_without(self, disabled: tuple[str, ...]) -> Iterator[str]:
        """Say what is wrong with leaving these features out; nothing where it can be done."""
        left_out = frozenset(disabled)
        for name in sorted(left_out.difference(self.names)):
            near = difflib.get_close_matches(name.replace("-", "_"), self.names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else "the features are " + _listed(self.names)
            yield f"names `{name}`, which is no feature; {hint}"
        needed = {
            (required.name(), each.name())
            for each in self.everywhere
            for required in each.requires
            if each.name() not in left_out and required.name() in left_out
        }
        for name, by in sorted(needed):
            yield f"names `{name}`, which `{by}` requires; disable `{by}`, too, or neither"


def own_features() -> tuple[type[Feature], ...]:
    """Give the features that come with the server; loads all of them."""
    from tidings.app import compose  # noqa: PLC0415  # only what serves or documents features needs them

    return tuple(compose.FEATURES)


def service_features() -> tuple[type[Feature], ...]:
    """Give the features that services alone have, and that come with the server; loads all of them."""
    from tidings.app import compose  # noqa: PLC0415  # only what serves or documents features needs them

    found = (each for service in compose.SERVICES for each in service.features)
    return tuple(each for each in dict.fromkeys(found) if each not in compose.FEATURES)


def known_features(extensions: Iterable[str] = ()) -> KnownFeatures:
    """Give the server's own features and those of these extensions, which are imported."""
    own = own_features()
    names = tuple(extensions)
    if not names:
        return KnownFeatures(own, service_features())
    from tidings.app.extensions import load  # noqa: PLC0415  # hardly any server has extensions

    loaded, problems = load(names)
    of_services = service_features()
    ours = {each.name(): "Tidings" for each in (*own, *of_services)}
    taken = {DISABLED: "the option that disables features", **ours}
    verbs = _own_verbs()
    usable: list[Extension] = []
    for extension in loaded:
        if reason := _clash(extension, taken, verbs):
            problems[extension.name] = f'"{extension.name}" of {extension.package}: {reason}'
            continue
        usable.append(extension)
        taken |= {each.name(): extension.package for each in extension.features}
        verbs |= {(one.category, one.name): extension.package for one in extension.operations}
    features = (*own, *(each for extension in usable for each in extension.features))
    return KnownFeatures(features, of_services, tuple(usable), problems)


def _own_verbs() -> dict[tuple[str, str], str]:
    from tidings.operations.all import CATALOGUE  # noqa: PLC0415  # only for extensions

    return {(one.category, one.name): "Tidings" for one in CATALOGUE}


def _clash(extension: Extension, taken: dict[str, str], verbs: dict[tuple[str, str], str]) -> str:
    """Say which name of an extension is taken already; nothing where all are free."""
    for feature in extension.features:
        if feature.name() in taken:
            return f"its feature `{feature.name()}` has the name of one of {taken[feature.name()]}"
    for operation in extension.operations:
        verb = operation.category, operation.name
        if verb in verbs:
            return f"its operation {' '.join(verb)} has the name of one of {verbs[verb]}"
    return ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
