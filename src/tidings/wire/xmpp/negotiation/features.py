"""What the server advertises before and after log-in, and which mechanisms can be offered on a stream.

Implements RFC 6120 §4.3.2 and §6.3, XEP-0388 §2.1, XEP-0386 §3.1, XEP-0440 §2, XEP-0478 §3 and XEP-0484 §3.1.
"""

from collections.abc import Container, Iterator

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.policy import HostPolicy
from tidings.wire.xmpp.negotiation.values import TlsInfo
from tidings.wire.xmpp.payloads.stream_limits import StreamLimits
from tidings.wire.xmpp.sasl.keys import PLUS, scram_of
from tidings.wire.xmpp.sasl.offer import Offer
from tidings.wire.xmpp.sasl.simple import EXTERNAL, PLAIN
from tidings.wire.xmpp.sasl.tokens import HT_MECHANISMS


def is_private_enough(host: HostPolicy, tls: TlsInfo | None) -> bool:
    """Tell whether secrets may cross the stream in a form that a listener could use."""
    return tls is not None or host.plain_without_tls


def may_log_in(host: HostPolicy, tls: TlsInfo | None) -> bool:
    """Tell whether log-in is possible now, or only after STARTTLS."""
    return tls is not None or not host.tls_required


def offer_for(host: HostPolicy, tls: TlsInfo | None) -> Offer:
    """Choose the mechanisms for this stream; those with channel binding come first."""
    if not may_log_in(host, tls):
        return Offer()
    bindings = tls.bindings if tls else {}
    plain = [name for name in host.mechanisms if _is_offered(name, host, tls)]
    plus = [name + PLUS for name in plain if scram_of(name)] if bindings else []
    return Offer((*plus, *plain), tuple(bindings) if plus else None)


def _is_offered(name: str, host: HostPolicy, tls: TlsInfo | None) -> bool:
    if name == PLAIN:
        return is_private_enough(host, tls)
    if name == EXTERNAL:
        return bool(external_identities(host, tls))
    return True


def external_identities(host: HostPolicy, tls: TlsInfo | None) -> list[str]:
    """Give the addresses of the client's certificate that belong to this host (XEP-0178 §2)."""
    ending = f"@{host.domain}"
    return [identity for identity in tls.peer_identities if identity.endswith(ending)] if tls else []


def token_mechanisms_for(host: HostPolicy, tls: TlsInfo | None) -> tuple[str, ...]:
    """Choose the token mechanisms for this stream (XEP-0484 §6: never in the clear)."""
    if not is_private_enough(host, tls):
        return ()
    bindings = tls.bindings if tls else {}
    usable = {name for name, kind in HT_MECHANISMS.items() if kind is None or kind in bindings}
    return tuple(name for name in host.token_mechanisms if name in usable)


def features_before(host: HostPolicy, offer: Offer, tls: TlsInfo | None, *, can_starttls: bool) -> Element:
    """Build the features that a client sees before log-in."""
    features = Element("features", ns.STREAMS)
    if can_starttls:
        starttls = Element("starttls", ns.TLS)
        if host.tls_required:
            starttls.append(Element("required", ns.TLS))
        features.append(starttls)
    if offer.mechanisms:
        if host.sasl:
            features.append(Element("mechanisms", ns.SASL, None, *_mechanisms(ns.SASL, offer.mechanisms)))
        if host.sasl2 and is_private_enough(host, tls):  # XEP-0388 §5: only after TLS
            features.append(_authentication(host, offer, token_mechanisms_for(host, tls)))
    if offer.binding_types:
        types = (
            Element("channel-binding", ns.CHANNEL_BINDING, {"type": kind}) for kind in offer.binding_types
        )
        features.append(Element("sasl-channel-binding", ns.CHANNEL_BINDING, None, *types))
    if host.registration and may_log_in(host, tls):
        if host.invitations:
            features.append(Element("register", ns.REGISTER_INVITED))
        features.append(Element("register", ns.REGISTER_FEATURE))
    for feature in host.features_before:
        features.append(feature)
    _append_limits(features, host.limits_before)
    return features


def features_after(host: HostPolicy, *, bound: bool, begun: Container[str] = ()) -> Element:
    """Build the features that a client sees after log-in, but those that it has begun to use inline.

    `begun` are their namespaces; a client that is offered one of them again may begin it twice.
    """
    features = Element("features", ns.STREAMS)
    if not bound:
        features.append(Element("bind", ns.BIND))
        features.append(Element("session", ns.SESSION, None, Element("optional", ns.SESSION)))
    for feature in host.features_after:
        if feature.namespace not in begun:
            features.append(feature)
    _append_limits(features, host.limits_after)
    return features


def _mechanisms(namespace: str, names: tuple[str, ...]) -> Iterator[Element]:
    return (Element("mechanism", namespace, None, name) for name in names)


def _authentication(host: HostPolicy, offer: Offer, token_mechanisms: tuple[str, ...]) -> Element:
    kinds = (Element("feature", ns.BIND2, {"var": kind}) for kind in host.bind2_inline)
    bind = Element("bind", ns.BIND2, None, Element("inline", ns.BIND2, None, *kinds))
    inline = Element("inline", ns.SASL2, None, bind, *host.sasl2_inline)
    if token_mechanisms:
        inline.append(Element("fast", ns.FAST, None, *_mechanisms(ns.FAST, token_mechanisms)))
    return Element("authentication", ns.SASL2, None, *_mechanisms(ns.SASL2, offer.mechanisms), inline)


def _append_limits(features: Element, limits: StreamLimits) -> None:
    element = limits.encode()
    if element.content:
        features.append(element)
