"""The feature loader: classes in, wired instances on a host out; what does not fit is refused by name."""

from __future__ import annotations

import graphlib
import inspect
import itertools
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

import msgspec

from tidings.base.errors import TidingsError
from tidings.kernel.current import Current
from tidings.kernel.feature import (
    Addressee,
    Feature,
    HandlesMark,
    ListensMark,
    LoadsMark,
    NonzaMark,
    ReloadsMark,
)
from tidings.kernel.hooks import HookError, Listener
from tidings.kernel.host import Host


class FeatureError(TidingsError):
    """A feature cannot be loaded; the message names it and what it lacks."""


def load_features(
    host: Host,
    classes: Iterable[type[Feature]],
    provided: Mapping[type[Any], object],
    options: Mapping[str, msgspec.Struct],
) -> None:
    """Make one instance of each class for the host and register its handlers.

    `provided` are the things that constructors may ask for by type; `options` are the features' option
    structs by feature name, defaults where one is missing.
    """
    instances: list[Feature] = []
    names: dict[str, type[Feature]] = {}
    for feature_class in in_order(classes):
        before = names.setdefault(feature_class.name(), feature_class)
        if before.Options is not feature_class.Options:
            raise FeatureError(
                f"{feature_class.__qualname__} and {before.__qualname__} are both called "
                f"{feature_class.name()}, and have other options"
            )
        feature = _make(feature_class, {**provided, Host: host}, host, options)
        instances.append(feature)
        _register(host, feature)
    host.features = tuple(instances)
    host.hooks.compile()


def in_order(classes: Iterable[type[Feature]]) -> list[type[Feature]]:
    """Give the classes in the order in which they are loaded; raises `FeatureError`."""
    wanted = list(dict.fromkeys(classes))
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    position = {feature_class: number for number, feature_class in enumerate(wanted)}
    for feature_class in wanted:
        for required in feature_class.requires:
            if required not in position:
                raise FeatureError(f"{feature_class.name()} requires {required.name()}, which is not loaded")
        sorter.add(position[feature_class], *(position[required] for required in feature_class.requires))
    try:
        return [wanted[number] for number in sorter.static_order()]
    except graphlib.CycleError as error:
        circle = " → ".join(wanted[number].name() for number in error.args[1])
        raise FeatureError(f"features require each other in a circle: {circle}") from None


def live_options(classes: Iterable[type[Feature]]) -> dict[str, frozenset[str]]:
    """Give, by feature name, the options that features read each time: those that a reload takes over."""
    found: dict[str, frozenset[str]] = {}
    for each in classes:
        if each.Options is None:
            continue
        live = frozenset(each.Options.__struct_fields__).difference(each.fixed_options)
        asked = [wanted for _, wanted in _parameters(each)]  # type: ignore[arg-type]  # a class can be hashed
        if each.Options in asked:
            live = frozenset()
        found[each.name()] = found.get(each.name(), live) & live
    return found


@lru_cache(maxsize=64)  # a server with a thousand hosts has a few sets of features
def _live_options(classes: tuple[type[Feature], ...]) -> dict[str, frozenset[str]]:
    return live_options(classes)


def use_options(host: Host, options: Mapping[str, msgspec.Struct]) -> None:
    """Let the features of a host have other options from now on; those that they built from stay."""
    live = _live_options(tuple(map(type, host.features)))
    for name, current in host.options.items():
        if name in options and options[name] != current.now:
            values = {field: getattr(options[name], field) for field in live[name]}
            current.now = msgspec.structs.replace(current.now, **values)


def _make(
    feature_class: type[Feature],
    provided: Mapping[type[Any], object],
    host: Host,
    options: Mapping[str, msgspec.Struct],
) -> Feature:
    arguments: dict[str, object] = {}
    if feature_class.Options is not None:
        name = feature_class.name()
        current = host.options.get(name)
        if current is None:
            current = host.options[name] = Current(options.get(name) or feature_class.Options())
        current_type: Any = Current[feature_class.Options]  # type: ignore[name-defined]  # known at run time
        provided = {**provided, feature_class.Options: current.now, current_type: current}
    for name, wanted in _parameters(feature_class):  # type: ignore[arg-type]  # a class can be hashed
        if wanted is not None and wanted in provided:
            arguments[name] = provided[wanted]
        else:
            raise FeatureError(f"{feature_class.name()} asks for {name}: {wanted}, which nobody provides")
    return feature_class(**arguments)


@cache  # a server with a thousand hosts makes a thousand instances of each class
def _parameters(feature_class: type[Feature]) -> tuple[tuple[str, Any], ...]:
    """Give what a constructor asks for: names and types."""
    if feature_class.__init__ is object.__init__:
        return ()
    hints = typing.get_type_hints(feature_class.__init__)
    return tuple((name, hints.get(name)) for name in inspect.signature(feature_class).parameters)


@cache
def marks_of(feature_class: type[Feature]) -> tuple[tuple[str, object], ...]:
    """Give the marks of a class's handlers, each with the name of its method."""
    methods = inspect.getmembers(feature_class, inspect.isfunction)
    return tuple((name, mark) for name, method in methods for mark in getattr(method, "tidings_marks", ()))


def _register(host: Host, feature: Feature) -> None:
    for audience in feature.audiences:
        if host.audiences.setdefault(audience.name, audience) is not audience:
            raise FeatureError(f"{feature.name()}: another feature has an audience {audience.name}")
    for attribute, mark in marks_of(type(feature)):  # type: ignore[arg-type]  # a class can be hashed
        method = getattr(feature, attribute)
        match mark:
            case HandlesMark():
                _register_request(host, feature, mark, method)
            case ListensMark():
                _register_listener(host, feature, mark, method)
            case NonzaMark(namespace, name):
                if (namespace, name) in host.nonza_handlers:
                    raise FeatureError(f"{feature.name()}: <{name}/> is handled by another feature")
                host.nonza_handlers[namespace, name] = method
            case LoadsMark(slot):
                try:
                    host.directory.add_loader(slot, method)
                except ValueError as error:
                    raise FeatureError(f"{feature.name()}: {error}") from None
            case ReloadsMark(slot):
                host.directory.add_reloader(slot, method)
            case _:
                raise FeatureError(f"{feature.name()}: unknown mark {mark!r}")


def _register_listener(host: Host, feature: Feature, mark: ListensMark, method: Callable[[Any], Any]) -> None:
    try:
        host.hooks.listen(listener_of(feature.name(), mark, method))
    except HookError as error:
        raise FeatureError(str(error)) from None


def listener_of(feature: str, mark: ListensMark, handler: Callable[[Any], Any]) -> Listener:
    """Give the listener that a handler's mark declares."""
    event, stage, after, first, within, on_failure = mark
    return Listener(
        event=event,
        feature=feature,
        handler=handler,
        stage=stage,
        after=after,
        first=first,
        within=within,
        on_failure=on_failure,
    )


def _register_request(host: Host, feature: Feature, mark: HandlesMark, method: Callable[[Any], Any]) -> None:
    payload, kind, at, is_immediate = mark
    tags: tuple[tuple[str, str], ...] = getattr(payload, "TAGS", None) or (payload.TAG,)
    for tag, where in itertools.product(tags, (Addressee.SERVER, Addressee.SELF, Addressee.ENTITY)):
        if where not in at:
            continue
        key = (kind, tag, where)
        if key in host.iq_handlers:
            raise FeatureError(f"{feature.name()}: iq {key} is handled by another feature")
        host.iq_handlers[key] = (payload, method)
        if is_immediate and kind == "get":
            host.immediate.add((tag, where))
