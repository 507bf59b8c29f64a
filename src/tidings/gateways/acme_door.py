"""AcmeDoor: answers HTTP-01 challenges of an ACME authority (RFC 8555 §8.3) on every listener of HTTP."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tidings.gateways.acme_challenges import AcmeChallenges
from tidings.gateways.http import HttpError, HttpGateway

PATH: Final = "/.well-known/acme-challenge"
_ABOUT: Final = "GET shows a certificate authority that this server has the domain (RFC 8555)."


class AcmeDoor:
    """Gives the key authorization of each token that is open, and nothing else."""

    def __init__(self, gateway: HttpGateway, challenges: AcmeChallenges) -> None:
        self._challenges = challenges
        gateway.add(PATH, {"GET": self._answer}, about=_ABOUT, is_prefix=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        token = request.raw_path.removeprefix(PATH).removeprefix("/")
        authorization = self._challenges.authorization(token)
        if authorization is None:
            raise HttpError(404, "No certificate is being ordered with this token.")
        return web.Response(
            body=authorization.encode(),
            content_type="application/octet-stream",
            headers={"Cache-Control": "no-store"},
        )
