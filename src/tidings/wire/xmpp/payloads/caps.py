"""Entity Capabilities: a short name for a whole disco#info answer, by hash.

XEP-0115 1.6.0 (one SHA-1 verification string) and XEP-0390 0.3.2 (a set of hashes over an unambiguous input).
"""

import hashlib
from base64 import b64encode
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import FORM_TYPE, DataForm, Field
from tidings.wire.xmpp.payloads.disco import Identity, Info

HASHES: Final = "urn:xmpp:hashes:2"  # XEP-0300
ALGORITHMS: Final = {  # XEP-0300 §6: the names of the hash functions, and what hashlib calls them
    "sha-1": "sha1",
    "sha-256": "sha256",
    "sha-512": "sha512",
    "sha3-256": "sha3_256",
    "sha3-512": "sha3_512",
}
OFFERED: Final = ("sha-256", "sha3-256")  # both must be supported by who supports XEP-0390 at all
_NODE_PREFIX: Final = ns.CAPS2 + "#"

_FILE, _GROUP, _RECORD, _UNIT = b"\x1c", b"\x1d", b"\x1e", b"\x1f"


class Capabilities(msgspec.Struct, frozen=True):
    """The `<c/>` of XEP-0115: ask `node#version` to learn what it stands for (§6.2)."""

    TAG: ClassVar[tuple[str, str]] = (ns.CAPS, "c")

    node: str
    version: str
    algorithm: str = "sha-1"

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the capabilities; raise `bad-request` without node or ver.

        Without `hash` it is the form of before 2007, which names no hash: `algorithm` is then empty.
        """
        node, version = element.get("node"), element.get("ver")
        if not node or not version:
            raise StanzaError("bad-request", "capabilities need node and ver")
        return cls(node, version, element.get("hash") or "")

    def encode(self) -> Element:
        """Return `<c/>`."""
        algorithm = {"hash": self.algorithm} if self.algorithm else {}
        return Element("c", ns.CAPS, {**algorithm, "node": self.node, "ver": self.version})

    @property
    def query_node(self) -> str:
        """The disco#info node that answers with these capabilities."""
        return f"{self.node}#{self.version}"


class CapabilityHash(msgspec.Struct, frozen=True):
    """One hash function with its value in base64 (XEP-0390 §3)."""

    algorithm: str
    value: str

    @property
    def query_node(self) -> str:
        """The disco#info node that answers with these capabilities (XEP-0390 §4.3)."""
        return f"{_NODE_PREFIX}{self.algorithm}.{self.value}"


class CapabilityHashSet(msgspec.Struct, frozen=True):
    """The `<c/>` of XEP-0390: hashes that all cover the same answer."""

    TAG: ClassVar[tuple[str, str]] = (ns.CAPS2, "c")

    hashes: tuple[CapabilityHash, ...]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the set; raise `bad-request` if it holds no hash or one without algorithm or value."""
        hashes = tuple(
            CapabilityHash(child.get("algo") or "", child.text.strip())
            for child in element.find_all("hash", HASHES)
        )
        if not hashes or not all(each.algorithm and each.value for each in hashes):
            raise StanzaError("bad-request", "a capability hash set needs hashes with algo and value")
        return cls(hashes)

    def encode(self) -> Element:
        """Return `<c/>`."""
        return Element(
            "c",
            ns.CAPS2,
            None,
            *(Element("hash", HASHES, {"algo": each.algorithm}, each.value) for each in self.hashes),
        )


def read_hash_node(node: str) -> CapabilityHash | None:
    """Return the hash that an XEP-0390 node names, or None if the node is another one (§4.3)."""
    if not node.startswith(_NODE_PREFIX):
        return None
    algorithm, dot, value = node.removeprefix(_NODE_PREFIX).rpartition(".")
    return CapabilityHash(algorithm, value) if dot and algorithm and value else None


def capabilities(info: Info, node: str) -> Capabilities:
    """Return the XEP-0115 capabilities of a disco#info answer, under the software's own `node`."""
    return Capabilities(node, verification_string(info))


def capability_hash_set(info: Info, algorithms: tuple[str, ...] = OFFERED) -> CapabilityHashSet:
    """Return the XEP-0390 hashes of a disco#info answer."""
    data = hash_input(info)
    return CapabilityHashSet(tuple(CapabilityHash(name, _digest(name, data)) for name in algorithms))


def verification_string(info: Info, algorithm: str = "sha-1") -> str:
    """Return the `ver` of XEP-0115 §5.1 for a disco#info answer."""
    return _digest(algorithm, verification_input(info))


def verification_input(info: Info) -> bytes:
    """Return the string S of XEP-0115 §5.1.

    The document does not escape `<`, so different answers can have one S: see `is_well_formed` and XEP-0390.
    """
    forms = sorted((form for form in info.forms if form.form_type), key=lambda form: form.form_type.encode())
    parts = [
        *(b"/".join(words) for words in sorted(map(_identity_words, info.identities))),
        *sorted(feature.encode() for feature in info.features),
        *(part for form in forms for part in _form_parts(form)),
    ]
    return b"".join(part + b"<" for part in parts)


def is_well_formed(info: Info) -> bool:
    """Tell whether an answer may be checked against a `ver` at all (XEP-0115 §5.4, points 3.3 to 3.5).

    Beyond the document, an answer with a `<` in it is refused: it could stand for another answer.
    """
    kinds = [form.form_type for form in info.forms if form.form_type]
    scopes = [set(form.values(FORM_TYPE)) for form in info.forms]
    return (
        len(set(info.identities)) == len(info.identities)
        and len(set(info.features)) == len(info.features)
        and len(set(kinds)) == len(kinds)
        and all(len(scope) <= 1 for scope in scopes)
        and b"<" not in b"".join(_all_words(info))
    )


def hash_input(info: Info) -> bytes:
    """Return the octets that the hash functions of XEP-0390 are run over (§4.1).

    Raises `not-acceptable` for an answer that the document calls an error: tables, forms without FORM_TYPE.
    """
    if any(form.reported or form.items or not form.form_type for form in info.forms):
        raise StanzaError("not-acceptable", "capabilities cannot cover forms with items or without FORM_TYPE")
    features = sorted(feature.encode() + _UNIT for feature in info.features)
    identities = sorted(
        b"".join(word + _UNIT for word in _identity_words(each)) + _RECORD for each in info.identities
    )
    forms = sorted(_form_input(form) for form in info.forms)
    return b"".join((*features, _FILE, *identities, _FILE, *forms, _FILE))


def matches(info: Info, claim: CapabilityHash) -> bool:
    """Tell whether an answer has the hash that was claimed for it; False for an unknown hash function."""
    if claim.algorithm not in ALGORITHMS:
        return False
    try:
        return _digest(claim.algorithm, hash_input(info)) == claim.value
    except StanzaError:
        return False


def _digest(algorithm: str, data: bytes) -> str:
    return b64encode(hashlib.new(ALGORITHMS[algorithm], data).digest()).decode()


def _identity_words(identity: Identity) -> tuple[bytes, ...]:
    """Return the words of an identity in the order in which both documents compare and write them."""
    return tuple(word.encode() for word in (identity.category, identity.kind, identity.lang, identity.name))


def _form_parts(form: DataForm) -> list[bytes]:
    """Return the words of one form in the order of XEP-0115 §5.1, point 7."""
    parts = [form.form_type.encode()]
    fields = (field for field in form.fields if field.name != FORM_TYPE)
    for field in sorted(fields, key=lambda field: field.name.encode()):
        parts += [field.name.encode(), *sorted(value.encode() for value in field.values)]
    return parts


def _form_input(form: DataForm) -> bytes:
    return b"".join(sorted(map(_field_input, form.fields))) + _GROUP


def _field_input(field: Field) -> bytes:
    values = b"".join(sorted(value.encode() + _UNIT for value in field.values))
    return field.name.encode() + _UNIT + values + _RECORD


def _all_words(info: Info) -> list[bytes]:
    words = [word for each in info.identities for word in _identity_words(each)]
    fields = [field for form in info.forms for field in form.fields]
    return words + [word.encode() for word in info.features + _field_words(fields)]


def _field_words(fields: list[Field]) -> tuple[str, ...]:
    return tuple(word for field in fields for word in (field.name, *field.values))
