"""HTTP File Upload: people get slots for files, and send others the addresses.

Implements XEP-0363 1.2.0; the marks § point at its sections. Octets come and go through the HTTP doors
(`gateways/file_door.py`). Left out of §5: the purposes `profile` and `permanent`.
"""

from typing import Final

from tidings.base.errors import StanzaError
from tidings.features.upload.options import UploadOptions
from tidings.features.upload.slots import Slots, WantedFile
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.public_address import PublicAddress
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.blobs import BlobStore
from tidings.ports.documents import DocumentStore
from tidings.ports.files import FileStore
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.http_upload import Purpose, SlotRequest

PREFIX: Final = "upload"
"""What the name of the service begins with, before that of its domain."""
IDENTITY: Final = ("store", "file")
"""What the service is (§3)."""

_PURPOSES = (Purpose.MESSAGE, Purpose.EPHEMERAL)


class Uploads(Feature):
    """Gives the accounts of one domain slots for their files."""

    spec = Spec.xep(
        363,
        version="1.2.0",
        advertises=(ns.HTTP_UPLOAD, *(each.namespace for each in _PURPOSES)),
        note="without the purposes profile and permanent",
    )
    Options = UploadOptions
    option_name = "upload"

    def __init__(
        self,
        host: Host,
        files: FileStore,
        blobs: BlobStore,
        documents: DocumentStore,
        address: PublicAddress,
        clock: Clock,
        options: Current[UploadOptions],
    ) -> None:
        self._host = host
        self._options = options
        self.blobs = blobs
        """Where the octets are."""
        self.slots = Slots(host.jid, files, documents, address, clock, options)

    @listens(DiscoInfo)
    def tell_largest(self, event: DiscoInfo) -> None:
        """Tell how large files may be (§3)."""
        if event.target == self._host.jid and not event.node:
            largest = Field("max-file-size", (str(self._options.now.max_file_bytes),))
            event.forms.append(DataForm.of(FormKind.RESULT, ns.HTTP_UPLOAD, largest).encode())

    @handles(SlotRequest, kind="get", at=Addressee.SERVER)  # §4
    async def give_slot(self, request: Iq[SlotRequest]) -> Element:
        """Answer somebody of this domain with a slot."""
        owner, wanted = request.sender.bare, request.payload
        if request.session is None or owner.domain != self._host.domain.removeprefix(f"{PREFIX}."):
            raise StanzaError("forbidden", "Only people of this domain may upload files here")  # §6
        if wanted.purpose not in _PURPOSES:  # §5
            raise StanzaError("feature-not-implemented", f"No files are kept here for {wanted.purpose.value}")
        file = WantedFile(
            name=wanted.filename,
            size=wanted.size,
            content_type=wanted.content_type,
            expire_before=wanted.expire_before,
        )
        try:
            return (await self.slots.give(owner, file)).encode()
        except NoSuchAccount:
            raise StanzaError("forbidden", "There is no such account any more") from None
