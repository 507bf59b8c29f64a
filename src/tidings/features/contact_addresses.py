"""Contact Addresses: people can find out whom to write to about abuse, security and the rest.

Implements XEP-0157 1.1.1 as extended service discovery information (XEP-0128 1.0.1).
"""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.host import Host
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind

Addresses = tuple[str, ...]

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")  # RFC 3986 §3, and no stricter than that


class ContactAddressesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses as URIs, such as `mailto:abuse@example.org`, `xmpp:admin@example.org` or a web page."""

    abuse: Annotated[Addresses, Meta(description="Where to report abusive traffic.")] = ()
    admin: Annotated[Addresses, Meta(description="The administrators of the service.")] = ()
    feedback: Annotated[Addresses, Meta(description="Where users say what they think.")] = ()
    sales: Annotated[Addresses, Meta(description="Sales and marketing.")] = ()
    security: Annotated[Addresses, Meta(description="Where to report security problems.")] = ()
    status: Annotated[Addresses, Meta(description="Pages that tell whether the service is well.")] = ()
    support: Annotated[Addresses, Meta(description="Where users get help.")] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for an address that programs could not follow (XEP-0157 §3: URIs)."""
        for name in self.__struct_fields__:
            for address in getattr(self, name):
                if _URI.fullmatch(address) is None:
                    raise ValueError(
                        f"`{name}` must be addresses with a scheme, such as "
                        f'"mailto:{name}@example.org" or "https://example.org/{name}", not "{address}"'
                    )


class ContactAddresses(Feature):
    """Adds the addresses that the configuration names to what the domain tells of itself."""

    spec = (Spec.xep(157, version="1.1.1"), Spec.xep(128, version="1.0.1"), Spec.xep(68, version="1.3.0"))
    Options = ContactAddressesOptions

    def __init__(self, host: Host, options: ContactAddressesOptions) -> None:
        self._domain = host.jid
        self._form = server_information(options)

    @listens(DiscoInfo)  # §3
    def add_addresses(self, event: DiscoInfo) -> None:
        """Add the form to the answer of the bare domain."""
        if self._form is not None and event.target == self._domain and not event.node:
            event.forms.append(self._form.encode())


def server_information(options: ContactAddressesOptions) -> DataForm | None:
    """Return the form of §3 with the addresses that are set, or None where there are none."""
    named = ((name, getattr(options, name)) for name in options.__struct_fields__)
    fields = [Field(f"{name}-addresses", uris, FieldKind.LIST_MULTI) for name, uris in named if uris]
    return DataForm.of(FormKind.RESULT, ns.SERVER_INFO, *fields) if fields else None
