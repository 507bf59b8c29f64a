"""Messages for the tests of payloads, read as a parser reads them from a stream."""

from hypothesis import strategies as st

from tests.wire.xml.reading import HEADER, fragments
from tests.wire.xmpp.payloads.strategies import jids, texts, words
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.stanza import KINDS, Stanza


def received(raw: str) -> Stanza:
    """Return the stanza that a stream reads."""
    (fragment,) = fragments(HEADER + raw.encode())
    return Stanza.received(fragment)


stanzas = st.builds(
    lambda kind, to, sender, id_, lang, body, other: Stanza.build(
        "message",
        kind=kind,
        to=to,
        sender=sender,
        id=id_,
        lang=lang,
        content=[
            Element("body", ns.CLIENT, None, *filter(None, [body])),
            Element("x", "urn:x", {"a": other}, Element("y", "urn:y", None, *filter(None, [other]))),
        ],
    ),
    st.sampled_from(sorted(KINDS["message"])),
    st.none() | jids,
    st.none() | jids,
    st.none() | words,
    st.none() | st.sampled_from(["en", "de-AT", ""]),
    texts,
    texts,
)
moments = st.integers(0, 4_000_000_000_000_000)
delays = st.builds(Delay, moments, st.none() | jids, texts)
forwards = st.builds(Forwarded.of, stanzas, st.none() | delays)
