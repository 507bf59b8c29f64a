"""A device that encrypts with OMEMO: slixmpp with slixmpp-omemo, which trusts every key that it sees.

Where it keeps its keys outlives its session, so that the same device may go and come again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final

import omemo
import slixmpp.plugins
from oldmemo.oldmemo import NAMESPACE as OMEMO
from oldmemo.oldmemo import Oldmemo
from omemo.storage import Just, Maybe, Nothing, Storage
from slixmpp import JID, Message
from slixmpp_omemo import XEP_0384

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import PATIENCE, SlixmppPerson, logged_in

BUNDLES_OF_OMEMO_2: Final = "urn:xmpp:omemo:2:bundles"
_FEW_PRE_KEYS: Final = 25  # as few as a bundle may have
_PLUGINS: Final = ("xep_0060", "xep_0115", "xep_0163", "xep_0280", "xep_0313", "xep_0359", "xep_0384")


class KeyStore(Storage):
    """Where a device keeps its keys: in memory."""

    def __init__(self) -> None:
        super().__init__(disable_cache=True)
        self._values: dict[str, Any] = {}

    async def _load(self, key: str) -> Maybe[Any]:
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self._values[key] = value

    async def _delete(self, key: str) -> None:
        self._values.pop(key, None)


class TrustingOmemo(XEP_0384):
    """slixmpp-omemo that tells when it has heard of other devices."""

    default_config: ClassVar = {**XEP_0384.default_config, "keys": None}

    def plugin_init(self) -> None:
        self.news = asyncio.Condition()
        super().plugin_init()

    @property
    def storage(self) -> Storage:
        return self.config["keys"]

    @property
    def _btbv_enabled(self) -> bool:
        return True

    async def _prompt_manual_trust(self, manually_trusted: Any, identifier: Any) -> None:
        raise AssertionError("every key is trusted when it is seen first")

    async def _on_device_list_update(self, msg: Message) -> None:
        await super()._on_device_list_update(msg)
        async with self.news:
            self.news.notify_all()


slixmpp.plugins.register_plugin(TrustingOmemo, "xep_0384")


class EncryptingDevice:
    """Somebody's device, whose keys are published."""

    def __init__(self, person: SlixmppPerson, manager: omemo.SessionManager, number: int) -> None:
        self.person = person
        self.manager = manager
        self.number = number
        """The device id of OMEMO."""
        self.read_up_to = ""
        """Which message it has read last, by its id in the account's archive."""
        self._omemo: TrustingOmemo = person.plugin["xep_0384"]

    async def say(self, peer: Account, text: str) -> set[int]:
        """Send an encrypted message; gives the devices that have a key to it."""
        plain = self.person.make_message(mto=peer.bare, mbody=text, mtype="chat")
        message, errors = await self._omemo.encrypt_message(plain, JID(peer.bare))
        assert message is not None
        assert not errors
        message.send()
        keys = message.xml.iterfind(f"{{{OMEMO}}}encrypted/{{{OMEMO}}}header/{{{OMEMO}}}key")
        return {int(each.get("rid")) for each in keys}

    async def reads(self, sender: Account) -> str:
        """Decrypt what comes of somebody until there is a text; what has none belongs to the key exchange."""
        while True:
            message = await self.person.takes(
                f"something encrypted from {sender.bare}",
                lambda each: _original(each)["from"].bare == sender.bare and _is_encrypted(_original(each)),
            )
            self.read_up_to = _original(message)["stanza_id"]["id"]
            if text := await self._decrypt(_original(message)):
                return text

    async def reads_archive(self, after: str) -> list[str]:
        """Decrypt what was said since the message that has this id in the account's archive."""
        results = self.person.plugin["xep_0313"].iterate(rsm={"after": after})
        messages = [each["mam_result"]["forwarded"]["stanza"] async for each in results]
        texts = [await self._decrypt(each) for each in messages if _is_encrypted(each)]
        return [each for each in texts if each]

    async def _decrypt(self, message: Message) -> str:
        """The text, if there is one and it is for this device."""
        try:
            decrypted, _ = await self._omemo.decrypt_message(message)
        except omemo.MessageNotForUs:
            return ""
        return decrypted["body"]

    async def knows(self, owner: Account, *numbers: int) -> None:
        """Wait until these are the devices of somebody that it encrypts to, and no other."""
        known: set[int] = set()
        try:
            async with asyncio.timeout(PATIENCE), self._omemo.news:
                while (known := await self._known(owner)) != set(numbers):
                    await self._omemo.news.wait()
        except TimeoutError:
            raise AssertionError(
                f"{self.person.boundjid} knows {known} of {owner.bare}, not {set(numbers)}"
            ) from None

    async def _known(self, owner: Account) -> set[int]:
        devices = await self.manager.get_device_information(owner.bare)
        return {each.device_id for each in devices if dict(each.active).get(OMEMO)}

    async def has_more(self, *numbers: int) -> None:
        """Say that the account has further devices, each with keys of its own."""
        await asyncio.gather(*(self._publish_bundle(each) for each in numbers))
        await self.manager._upload_device_list(OMEMO, dict.fromkeys((self.number, *numbers)))

    async def _publish_bundle(self, number: int) -> None:
        backend = Oldmemo(KeyStore())
        await backend.rotate_signed_pre_key()
        await backend.generate_pre_keys(_FEW_PRE_KEYS)
        bundle = await backend.get_bundle(self.person.boundjid.bare, number)
        await self.manager._upload_bundle(bundle)

    async def forget(self) -> None:
        """Be a device that can decrypt no more, and take the keys back."""
        await self.manager.purge_backend(OMEMO)


def _original(stanza: Any) -> Any:
    """What a carbon copy is a copy of, or the message itself."""
    for kind in ("carbon_sent", "carbon_received"):
        if stanza.name == "message" and stanza.get_plugin(kind, check=True) is not None:
            return stanza[kind]
    return stanza


def _is_encrypted(stanza: Any) -> bool:
    return stanza.name == "message" and stanza.xml.find(f"{{{OMEMO}}}encrypted") is not None


@contextlib.asynccontextmanager
async def device(
    account: Account, server: ServerProcess, resource: str, keys: KeyStore | None = None
) -> AsyncIterator[EncryptingDevice]:
    """A device that is logged in and has published its keys; new unless it brings some."""
    options = {"xep_0384": {"keys": keys or KeyStore()}}
    async with logged_in(account, server, resource=resource, plugins=_PLUGINS, options=options) as person:
        await person.plugin["xep_0280"].enable()
        await person.get_roster()
        person.send_presence()
        manager = await person.plugin["xep_0384"].get_session_manager()
        own, _ = await manager.get_own_device_information()
        yield EncryptingDevice(person, manager, own.device_id)
