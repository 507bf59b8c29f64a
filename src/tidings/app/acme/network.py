"""The way to a certificate authority: requests whose nonce it does not take are sent again with another one.

RFC 8555 §6.5 wants that of clients; the library does it once, which is not enough where an authority has many
servers that know little of each other.
"""

from __future__ import annotations

from typing import Any, Final

import requests
from acme.client import ClientNetwork
from acme.messages import Error

_TRIES: Final = 5
_BAD_NONCE: Final = "badNonce"


class PatientNetwork(ClientNetwork):
    """The library's way, which asks again."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  # as the library has it
        """Send a request as the library does; raises what that raises."""
        for _ in range(_TRIES - 1):
            try:
                return super().post(*args, **kwargs)
            except Error as error:
                if error.code != _BAD_NONCE:
                    raise
        return super().post(*args, **kwargs)
