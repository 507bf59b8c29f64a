"""The catalogue with what extensions add to it, for commands that the server by itself does not have."""

from __future__ import annotations

from tidings.app import config
from tidings.app.extensions import load
from tidings.app.mistakes import ConfigError, Mistake
from tidings.operations.all import CATALOGUE, catalogue_of
from tidings.operations.catalogue import Catalogue


def catalogue(file: str | None, *, is_own: bool) -> Catalogue:
    """Give the operations there are, with those of the extensions that the configuration names.

    What is wrong with the configuration is told once the command is understood (`is_own`); at once only where
    the command may be that of an extension. Raises `ConfigError`.
    """
    try:
        names = config.extensions_named(file)
    except ConfigError:
        if is_own:
            return CATALOGUE
        raise
    extensions, problems = load(names)
    if problems and not is_own:
        raise ConfigError(Mistake("", f"`extensions` in [server]: {reason}") for reason in problems.values())
    return catalogue_of(feature for extension in extensions for feature in extension.features)
