"""The command line's end of the admin socket: asks the running server and waits for its answers.

It loads little, since a command is typed a hundred times a day: neither the event loop nor the server's own
modules. What goes over the socket is told in `admin_socket`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

from tidings.base.errors import TidingsError
from tidings.operations.characters import check_characters
from tidings.operations.errors import OperationError

ANSWER_SECONDS: Final = 60
_LONGEST_NAME: Final = 100  # octets that every system lets the name of a Unix socket have


class UnreachableError(TidingsError):
    """There is no server that answers, and nothing can be done without one."""


class NotRunningError(UnreachableError):
    """No server listens on the admin socket."""


def call(
    path: Path,
    category: str,
    operation: str,
    arguments: dict[str, Any],
    on_wait: Callable[[str], None] | None = None,
) -> Any:  # noqa: ANN401  # plain JSON
    """Ask the running server, blocking; gives the result as plain values.

    `on_wait` is told why the answer has to wait while the server starts. Raises `UnreachableError`, or the
    `OperationError` that the server answered; without `on_wait`, that it is starting.
    """
    with contextlib.closing(_ask(path, (category, operation, arguments), on_wait)) as answers:
        return next(answers).get("result")


def stream(
    path: Path,
    category: str,
    operation: str,
    arguments: dict[str, Any],
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Any]:
    """Ask the running server for many answers, blocking; gives each as plain values, raises as `call`."""
    for answer in _ask(path, (category, operation, arguments), on_wait):
        if answer.get("item") is None:
            return
        yield answer["item"]


def is_running(path: Path) -> bool:
    """Tell whether a server listens on the admin socket."""
    try:
        with _connected(path):
            return True
    except NotRunningError:
        return False


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Give a name of the socket that fits into what the system allows, however deep its directory lies."""
    if len(os.fsencode(path)) <= _LONGEST_NAME:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _ask(
    path: Path, request: tuple[str, str, dict[str, Any]], on_wait: Callable[[str], None] | None
) -> Generator[dict[str, Any], None, None]:
    """Give the answers to a request, one line each."""
    category, operation, arguments = request
    check_characters(arguments)  # JSON cannot carry what is not UTF-8
    asked = json.dumps({"category": category, "operation": operation, "arguments": arguments})
    try:
        with _connected(path) as connection, connection.makefile("rb") as lines:
            connection.sendall(asked.encode() + b"\n")
            for line in lines:
                answer = json.loads(line)
                if error := answer.get("error"):
                    raise OperationError(error["code"], error["text"], reason=error.get("reason", ""))
                if not answer.get("waiting"):
                    yield answer
                elif on_wait is not None:
                    on_wait(answer["waiting"])
                else:
                    raise OperationError("unavailable", answer["waiting"])
    except TimeoutError:
        raise UnreachableError(f"the server has not answered for {ANSWER_SECONDS} seconds") from None
    except ConnectionError:
        pass
    raise UnreachableError("the server stopped before it answered")


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            with short_name(path) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NotRunningError(f"no server is running on the data directory {path.parent}") from None
        except PermissionError:
            raise OperationError(
                "not-allowed", f"{path} belongs to another user: run this as the user that runs the server"
            ) from None
        yield connection
