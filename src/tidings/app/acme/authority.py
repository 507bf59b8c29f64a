"""AcmeAuthority: a certificate authority that is spoken to by ACME (RFC 8555), by the library `acme`.

All here waits for the network, and belongs into a thread. The library and what it needs take a while to load;
that happens with the first order.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidings.app import certificate_maker, certificates
from tidings.app.acme_options import ACCOUNT_FILE, AcmeOptions
from tidings.app.certificates import Pair
from tidings.app.kept_configurations import write_whole
from tidings.base.errors import TidingsError
from tidings.gateways.acme_challenges import ACME_PROTOCOL, AcmeChallenges

if TYPE_CHECKING:
    from acme import errors, messages
    from acme.client import ClientV2
    from cryptography.hazmat.primitives.asymmetric import ec
    from josepy.jwk import JWK

ORDER_SECONDS: Final = 180
"""How long an order may take, the authority's look at us included."""
REQUEST_SECONDS: Final = 30
_USER_AGENT: Final = "Tidings"


class AcmeError(TidingsError):
    """An authority has given no certificate; the text says why, in its words where it said something."""


class Issued(NamedTuple):
    """A certificate, both parts as PEM."""

    chain: bytes
    """The certificate, and those that vouch for it."""
    key: bytes


class AcmeAuthority:
    """The authority that the options name, and this server's account there."""

    def __init__(self, options: AcmeOptions, data_dir: Path, challenges: AcmeChallenges) -> None:
        self._options = options
        self._account_file = data_dir / ACCOUNT_FILE
        self._challenges = challenges

    def order(self, names: Sequence[str]) -> Issued:
        """Get a certificate for these names, as A-labels, with a new key. Raises `AcmeError`."""
        with _errors_in_words():
            client = self._client()
            self._register(client)
            key = certificate_maker.make_key()
            order = client.new_order(certificate_maker.request_for(names, key))
            deadline = datetime.now() + timedelta(seconds=ORDER_SECONDS)  # noqa: DTZ005  # what it compares with
            try:
                for authorization in order.authorizations:
                    self._answer(client, authorization.body)
                finished = client.poll_and_finalize(order, deadline)
            finally:
                self._challenges.forget_all()
            return Issued(finished.fullchain_pem.encode(), certificate_maker.key_pem(key))

    def renewal_time(self, chain: bytes) -> float | None:
        """Tell when the authority wants this certificate renewed (RFC 9773), in seconds since the epoch.

        None when it does not say. Raises `AcmeError`.
        """
        with _errors_in_words():
            wanted, _ = self._client().renewal_time(chain)
            if wanted is None:
                return None
            return (wanted if wanted.tzinfo else wanted.astimezone(UTC)).timestamp()

    def _client(self) -> ClientV2:
        from acme.client import ClientV2  # noqa: PLC0415  # see above
        from josepy.jwa import ES256  # noqa: PLC0415
        from josepy.jwk import JWKEC  # noqa: PLC0415

        from tidings.app.acme.network import PatientNetwork  # noqa: PLC0415

        network = PatientNetwork(
            JWKEC(key=self._account_key()),
            alg=ES256,
            user_agent=_USER_AGENT,
            timeout=REQUEST_SECONDS,
        )
        if self._options.authority:
            # The library hands this on to its own, which takes the name of a file as well.
            network.verify_ssl = self._options.authority  # type: ignore[assignment]
        return ClientV2(ClientV2.get_directory(self._options.directory, network), network)

    def _account_key(self) -> ec.EllipticCurvePrivateKey:
        """Give the key of the account, made with the first order."""
        if not self._account_file.exists():
            write_whole(self._account_file, certificate_maker.key_pem(certificate_maker.make_key()), 0o600)
        return _read_key(self._account_file)

    def _register(self, client: ClientV2) -> None:
        """Have an account there; the authority tells by the key whether there is one already."""
        from acme import errors, messages  # noqa: PLC0415

        options, binding = self._options, None
        if options.key_id:
            binding = messages.ExternalAccountBinding.from_data(
                _key_of(client).public_key(),
                options.key_id,
                Path(options.key_file).read_text(encoding="ascii").strip(),
                client.directory,
            )
        wanted = messages.NewRegistration.from_data(
            email=options.email or None,
            terms_of_service_agreed=True,
            external_account_binding=binding,
        )
        try:
            client.new_account(wanted)
        except errors.ConflictError as known:
            found = messages.RegistrationResource(uri=known.location, body=messages.Registration())
            client.query_registration(found)

    def _answer(self, client: ClientV2, authorization: messages.Authorization) -> None:
        """Answer the challenge of one name, unless the authority remembers that we have done so before."""
        from acme import challenges, messages  # noqa: PLC0415
        from josepy.b64 import b64encode  # noqa: PLC0415

        if authorization.status == messages.STATUS_VALID:
            return
        wanted = self._options.challenge
        offered: dict[str, Any] = {_kind(each): each for each in authorization.challenges}
        if wanted not in offered:
            name = authorization.identifier.value
            raise AcmeError(
                f"the authority does not offer {wanted} for {name}, but {', '.join(sorted(offered))}; "
                "change `challenge` in [acme]"
            )
        challenge = offered[wanted]
        token: str = challenge.chall.to_partial_json()["token"]
        thumbprint = b64encode(_key_of(client).thumbprint()).decode()
        proof = f"{token}.{thumbprint}"  # RFC 8555 §8.1
        if wanted == "http-01":
            self._challenges.answer_by_http(token, proof)
        else:
            name = authorization.identifier.value
            self._challenges.answer_by_tls(name, _context_of(name, proof))
        client.answer_challenge(challenge, challenges.HTTP01Response(key_authorization=proof))


def _read_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Read the key of the account; raises `AcmeError`."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AcmeError(f"{file} is no key of ours; move it away, and another account will be made")
    return key


def _key_of(client: ClientV2) -> JWK:
    key: JWK | None = client.net.key
    assert key is not None
    return key


def _kind(challenge: messages.ChallengeBody) -> str:
    """Name the kind of a challenge; the library knows not all of them."""
    return str(challenge.chall.to_partial_json()["type"])


def _context_of(name: str, proof: str) -> ssl.SSLContext:
    """Make the context that shows the certificate of TLS-ALPN-01 for a name (RFC 8737 §3)."""
    chain, key = certificate_maker.validation(name, proof, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="tidings-acme-") as folder:  # mode 0700
        pair = Pair(Path(folder) / "certificate", Path(folder) / "key")
        pair.certificate.write_bytes(chain)
        pair.key.write_bytes(key)
        return certificates.make_context(pair, alpn=(ACME_PROTOCOL,))


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Raise `AcmeError` for everything that the library raises."""
    import requests  # noqa: PLC0415
    from acme import errors, messages  # noqa: PLC0415

    try:
        yield
    except errors.ValidationError as error:
        raise AcmeError("; ".join(_refusals(error))) from None
    except messages.Error as error:
        raise AcmeError(f"the authority refuses: {_problem(error)}") from None
    except errors.IssuanceError as error:
        raise AcmeError(f"the authority refuses: {_problem(error.error)}") from None
    except errors.TimeoutError:
        raise AcmeError(f"the authority has not decided within {ORDER_SECONDS} s") from None
    except errors.ClientError as error:
        raise AcmeError(f"the authority answers what makes no sense: {error}") from None
    except (requests.RequestException, ValueError) as error:
        raise AcmeError(f"the authority cannot be reached: {error}") from None
    except OSError as error:
        raise AcmeError(f"{error.filename or 'a file'}: {error.strerror}") from None


def _refusals(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                name = authorization.body.identifier.value
                yield f"{name} was not found to be served here: {_problem(challenge.error)}"


def _problem(problem: messages.Error) -> str:
    return str(problem.detail or problem.title or problem.typ)
