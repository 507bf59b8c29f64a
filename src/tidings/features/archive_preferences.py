"""Archive preferences: an account decides whose messages its archive keeps.

Implements XEP-0441 0.2.0; the marks § point at its sections. Of those who are in neither list, `roster`
keeps the ones who have a subscription to the account's presence (`from` or `both`), as MongooseIM does it. A
message that is not to be kept still reaches every device of the account. Left out: advanced configuration
(§2.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded, share
from tidings.kernel.cluster import Cluster
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles, loads
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.watchers import Watchers
from tidings.messages.entries import ARCHIVE_RULE, Rules
from tidings.ports.preferences import PreferencesStore, StoredPreferences
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault, ArchivePreferences, is_wanted
from tidings.wire.xmpp.payloads.strict import octets


class PreferencesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for those who never decided."""

    default: Annotated[
        Literal["always", "never", "roster"],
        Meta(description="Whose messages are archived for accounts that never said it themselves."),
    ] = "always"
    max_octets: Annotated[
        int, share("Octets that the addresses of both lists of one account have together.", ge=4_096)
    ] = 131_072


class ArchivePreferencesFeature(Feature):
    """Keeps the preferences of every account and tells filing what they say."""

    spec = Spec.xep(441, version="0.2.0")
    Options = PreferencesOptions
    fixed_options = ("default",)  # accounts in memory have it in their rule
    serves_archives = True

    def __init__(
        self,
        host: Host,
        cluster: Cluster,
        store: PreferencesStore,
        rules: Rules,
        options: Current[PreferencesOptions],
    ) -> None:
        self._host = host
        self._cluster = cluster
        self._store = store
        self._rules = rules
        self._options = options
        self._unset = StoredPreferences(ArchiveDefault(options.now.default))

    @loads(ARCHIVE_RULE)
    async def load_rule(self, account: Jid) -> Callable[[Jid], bool] | None:
        """Bring the decision into memory with its account."""
        return self._rule(account, await self._store.get(account) or self._unset)

    @handles(ArchivePreferences, kind="get")  # §2.1
    async def show(self, request: Iq[ArchivePreferences]) -> Element:
        """Answer with what holds."""
        preferences = await self._store.get(request.own_account.jid) or self._unset
        return _shown(preferences, request.payload.namespace)

    @handles(ArchivePreferences, kind="set")  # §2.1
    async def change(self, request: Iq[ArchivePreferences]) -> Element:
        """Keep the preferences in place of the ones before, and answer with them."""
        account, wanted = request.own_account, request.payload
        size = sum(octets(jid.text) for jid in (*wanted.always, *wanted.never))
        most = self._options.now.max_octets
        if size > most:
            raise ShareExceeded("the lists of archive preferences", size, most)
        preferences = StoredPreferences(wanted.change(), wanted.always, wanted.never)
        await self._store.put(account.jid, preferences)
        account[ARCHIVE_RULE] = self._rule(account.jid, preferences)
        await self._rules.changed(account)
        self._cluster.publish(account.jid, ARCHIVE_RULE)
        return _shown(preferences, wanted.namespace)

    @handles(ArchivePreferences, kind="get", at=Addressee.ENTITY)
    @handles(ArchivePreferences, kind="set", at=Addressee.ENTITY)
    def refuse(self, request: Iq[ArchivePreferences]) -> Element:
        """Refuse what is about somebody else's archive."""
        del request
        raise StanzaError("not-allowed", "The action is not allowed.")

    def _rule(self, account: Jid, preferences: StoredPreferences) -> Callable[[Jid], bool] | None:
        """Give the decision as filing asks for it; None, which costs nothing, where all is kept."""
        if preferences.default is ArchiveDefault.ALWAYS and not preferences.never:
            return None
        shown = ArchivePreferences(preferences.default, preferences.always, preferences.never)
        needs_contacts = preferences.default is ArchiveDefault.ROSTER
        return lambda peer: keeps(
            shown, account, peer, is_contact=needs_contacts and self._is_contact(account, peer)
        )

    def _is_contact(self, account: Jid, peer: Jid) -> bool:
        """Ask at the moment of the message: subscriptions change without the preferences."""
        watchers = self._host.feature(Watchers)  # type: ignore[type-abstract]  # asks for whoever satisfies it
        loaded = self._host.directory.get(account)
        return watchers is not None and loaded is not None and watchers.is_watched_by(loaded, peer.bare)


def keeps(preferences: ArchivePreferences, account: Jid, peer: Jid, *, is_contact: bool) -> bool:
    """Tell whether the account archives what passes between it and the peer (§2.3); it knows itself."""
    return is_wanted(preferences, peer, is_contact=is_contact or peer.bare == account)


def _shown(preferences: StoredPreferences, namespace: str) -> Element:
    return ArchivePreferences(preferences.default, preferences.always, preferences.never, namespace).encode()
