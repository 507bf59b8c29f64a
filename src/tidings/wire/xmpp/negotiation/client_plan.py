"""How a client logs in: the strongest way that both sides know, and the request for it.

Implements the client's rules of XEP-0440 §3 with XEP-0474 §6, RFC 6120 §13.8.3 (no password in the clear),
and the requests of RFC 6120 §6.4.2, XEP-0388 §2.4, XEP-0386 §3.2 and XEP-0484 §3.
"""

from typing import TypeAlias

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_settings import PREFERENCE, ClientSettings
from tidings.wire.xmpp.negotiation.elements import initial_data, write_data
from tidings.wire.xmpp.negotiation.values import TlsInfo, UserAgent
from tidings.wire.xmpp.sasl.keys import PLUS, scram_of
from tidings.wire.xmpp.sasl.offer import END_POINT, Offer
from tidings.wire.xmpp.sasl.scram import ScramClient
from tidings.wire.xmpp.sasl.simple import ANONYMOUS, EXTERNAL, PLAIN, OneMessageClient, plain_client
from tidings.wire.xmpp.sasl.steps import MechanismError
from tidings.wire.xmpp.sasl.tokens import HT_MECHANISMS, TokenClient

ClientMechanism: TypeAlias = ScramClient | OneMessageClient | TokenClient


class Choice(msgspec.Struct, frozen=True):
    """A way to log in: the mechanism and what SCRAM says about the channel."""

    mechanism: str
    binding: tuple[str, bytes] | None = None
    flag: str = "n"
    needs_hash: bool = False
    """True if only the hash of XEP-0474 can tell that nobody removed the channel-binding types."""


class LoginPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: the request to send and the machine that takes what comes back."""

    profile: str
    """`ns.SASL` or `ns.SASL2`."""
    request: Element
    mechanism: ClientMechanism
    uses_token: bool = False
    token_mechanism: str = ""
    """What a token that comes with <success/> is for."""


def plan_login(
    settings: ClientSettings, features: Element, tls: TlsInfo | None, *, nonce: str, token_spent: bool = False
) -> LoginPlan:
    """Plan the next attempt, by token unless that is spent; raise `MechanismError` if there is no way."""
    authentication = features.find("authentication", ns.SASL2)
    if settings.use_sasl2 and _is_private(settings, tls) and authentication is not None:
        return _plan_sasl2(settings, features, authentication, tls, nonce, token_spent=token_spent)
    offer = _offer(features, features.find("mechanisms", ns.SASL))
    choice = choose(settings, offer, tls, sasl2=False)
    mechanism = _make(settings, choice, offer, nonce)
    first = initial_data(mechanism.first())
    request = Element("auth", ns.SASL, {"mechanism": choice.mechanism}, first)
    return LoginPlan(profile=ns.SASL, request=request, mechanism=mechanism)


def _plan_sasl2(
    settings: ClientSettings,
    features: Element,
    authentication: Element,
    tls: TlsInfo | None,
    nonce: str,
    *,
    token_spent: bool,
) -> LoginPlan:
    """Build <authenticate/> with all that is wanted inline."""
    inline = authentication.find("inline") or Element("inline", ns.SASL2)
    fast = inline.find("fast", ns.FAST) or Element("fast", ns.FAST)
    token_mechanisms = [each.text for each in fast.find_all("mechanism")]
    mechanism: ClientMechanism | None = None
    if not token_spent:
        mechanism = _token_client(settings, token_mechanisms, tls)
    uses_token = mechanism is not None
    if mechanism is not None and settings.token is not None:
        name = settings.token.mechanism
    else:
        offer = _offer(features, authentication)
        choice = choose(settings, offer, tls, sasl2=True)
        name, mechanism = choice.mechanism, _make(settings, choice, offer, nonce)
    token_mechanism = name if uses_token else _wanted_token(settings, token_mechanisms, tls)
    request = Element("authenticate", ns.SASL2, {"mechanism": name})
    request.append(Element("initial-response", ns.SASL2, None, write_data(mechanism.first())))
    if settings.user_agent != UserAgent():
        request.append(_user_agent(settings.user_agent))
    if uses_token:
        request.append(_token_use(settings))
    elif token_mechanism:
        request.append(Element("request-token", ns.FAST, {"mechanism": token_mechanism}))
    for element in settings.sasl2_inline:
        request.append(element)
    if inline.find("bind", ns.BIND2) is not None:
        request.append(_bind_request(settings))
    return LoginPlan(
        profile=ns.SASL2,
        request=request,
        mechanism=mechanism,
        uses_token=uses_token,
        token_mechanism=token_mechanism,
    )


def _make(settings: ClientSettings, choice: Choice, offer: Offer, nonce: str) -> ClientMechanism:
    username = settings.account.local if settings.account else ""
    if choice.mechanism == PLAIN:
        return plain_client(username, settings.password)
    if choice.mechanism in {ANONYMOUS, EXTERNAL}:
        return OneMessageClient(b"")
    return ScramClient(
        choice.mechanism,
        username,
        settings.password,
        nonce=nonce,
        offer=offer,
        binding=choice.binding,
        flag=choice.flag,
        needs_hash=choice.needs_hash,
    )


def _token_client(settings: ClientSettings, offered: list[str], tls: TlsInfo | None) -> TokenClient | None:
    """Make the log-in by token, where that is possible."""
    wish, account = settings.token, settings.account
    if (
        wish is None
        or account is None
        or wish.mechanism not in offered
        or wish.mechanism not in HT_MECHANISMS
    ):
        return None
    kind = HT_MECHANISMS[wish.mechanism]
    bindings = tls.bindings if tls else {}
    if kind is not None and kind not in bindings:
        return None
    return TokenClient(account.local, wish.token, bindings[kind] if kind else b"")


def _wanted_token(settings: ClientSettings, offered: list[str], tls: TlsInfo | None) -> str:
    """Choose the strongest token mechanism that both sides know, if a token is wanted; "" for none."""
    if not settings.want_token or not settings.user_agent.id:
        return ""
    own = tls.bindings if tls else {}
    usable = (name for name, kind in HT_MECHANISMS.items() if kind is None or kind in own)
    return next((name for name in usable if name in offered), "")


def _user_agent(agent: UserAgent) -> Element:
    element = Element("user-agent", ns.SASL2, {"id": agent.id} if agent.id else None)
    for name, text in (("software", agent.software), ("device", agent.device)):
        if text:
            element.append(Element(name, ns.SASL2, None, text))
    return element


def _token_use(settings: ClientSettings) -> Element:
    element = Element("fast", ns.FAST)
    if settings.token is not None and settings.token.count is not None:
        element.attributes["count"] = str(settings.token.count)
    if settings.token is not None and settings.token.invalidate:
        element.attributes["invalidate"] = "true"
    return element


def _bind_request(settings: ClientSettings) -> Element:
    bind = Element("bind", ns.BIND2)
    if settings.resource:
        bind.append(Element("tag", ns.BIND2, None, settings.resource))
    for element in settings.bind2_inline:
        bind.append(element)
    return bind


def _offer(features: Element, mechanisms: Element | None) -> Offer:
    """Read what is on offer, as the hash of XEP-0474 wants it: all of it, known here or not."""
    names = tuple(each.text for each in mechanisms.find_all("mechanism")) if mechanisms is not None else ()
    types = features.find("sasl-channel-binding", ns.CHANNEL_BINDING)
    if types is None:
        return Offer(names)
    return Offer(names, tuple(each.get("type") or "" for each in types.find_all("channel-binding")))


def _is_private(settings: ClientSettings, tls: TlsInfo | None) -> bool:
    return tls is not None or settings.plain_without_tls


def choose(settings: ClientSettings, offer: Offer, tls: TlsInfo | None, *, sasl2: bool) -> Choice:
    """Choose the strongest way that both sides know; raise `MechanismError` rather than be tricked."""
    if settings.account is None:
        return _only(ANONYMOUS, offer)
    if settings.external and EXTERNAL in offer.mechanisms:
        return Choice(EXTERNAL)
    own = tls.bindings if tls else {}
    advertised = offer.binding_types
    if own and sasl2 and offer.has_plus and not advertised:
        raise MechanismError("the server binds channels but does not say how: somebody may have removed it")
    if own and advertised and not offer.has_plus:
        raise MechanismError("the server names channel bindings but no mechanism for them")
    usable = [kind for kind in own if kind in (advertised if advertised is not None else (END_POINT,))]
    for name in _preferred(settings, tls):
        if name.endswith(PLUS):
            if name in offer.mechanisms and usable:
                return Choice(name, (usable[0], own[usable[0]]), "p")
        elif name in offer.mechanisms:
            unsure = bool(own) and offer.has_plus and not usable and scram_of(name) is not None
            return Choice(name, None, "y" if own and not offer.has_plus else "n", needs_hash=unsure)
    raise MechanismError("no way to log in that both sides allow: " + ", ".join(offer.mechanisms))


def _preferred(settings: ClientSettings, tls: TlsInfo | None) -> list[str]:
    private = _is_private(settings, tls)
    return [name for name in PREFERENCE if name in settings.mechanisms and (private or name != PLAIN)]


def _only(name: str, offer: Offer) -> Choice:
    if name not in offer.mechanisms:
        raise MechanismError(f"{name} is not offered here")
    return Choice(name)
