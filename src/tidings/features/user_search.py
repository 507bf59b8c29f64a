"""User search: people find colleagues of their domain by what these tell of themselves.

Implements XEP-0055 1.3; the marks § point at its sections. It finds accounts by their vCards: by the
beginnings of words of names, nickname, e-mail address, organisation and unit. Whoever does not want to be
found says so in his vCard (`CLASS`, XEP-0054 §3) or has none.

Nobody can list all people: a word has a least number of letters, an answer a most number of people, and an
account a number of searches a minute.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.token_bucket import Rate, TokenBuckets
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.ports.vcard import FoundVCard, SearchField, VCardStore, WantedWord, words_of
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.user_search import FIELDS, FoundPerson, UserSearch

PREFIX: Final = "vjud"
"""What the name of the service begins with, before that of its domain."""
IDENTITY: Final = ("directory", "user")
"""What the service is."""

_ANY: Final = "*"  # how other servers let people write that more may follow, as it always may here
_MOST_WORDS: Final = 8
_INSTRUCTIONS: Final = "Fill in the beginning of one or more words; who is found has all of them."
_JID: Final = Field("jid", (), FieldKind.JID_SINGLE, "XMPP address")
_LABELS: Final = {
    SearchField.FULL_NAME: "Full name",
    SearchField.FIRST: "Given name",
    SearchField.LAST: "Family name",
    SearchField.NICK: "Nickname",
    SearchField.EMAIL: "E-mail address",
    SearchField.ORGANIZATION: "Organisation",
    SearchField.UNIT: "Unit",
}


class UserSearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How people find others of their domain (XEP-0055)."""

    minimum_letters: Annotated[
        int, Meta(description="Letters that one of the words has at least that are looked for.", ge=1, le=20)
    ] = 3
    max_results: Annotated[int, Meta(description="People that one answer has at most.", ge=1, le=500)] = 50
    searches_per_minute: Annotated[
        int,
        Meta(description="Searches of one account a minute; more have to wait. 0: any number.", ge=0),
    ] = 20


class UserSearchService(Feature):
    """Lets the accounts of one domain find each other."""

    spec = Spec.xep(55, version="1.3", advertises=(ns.SEARCH,))  # §4
    Options = UserSearchOptions
    option_name = "user_search"

    def __init__(
        self, host: Host, vcards: VCardStore, clock: Clock, options: Current[UserSearchOptions]
    ) -> None:
        self._domain = host.domain.removeprefix(f"{PREFIX}.")
        self._vcards = vcards
        self._clock = clock
        self._options = options
        self._searches: TokenBuckets[Jid] = TokenBuckets()

    @handles(UserSearch, kind="get", at=Addressee.SERVER)  # §2.1, §3
    def show_fields(self, request: Iq[UserSearch]) -> Element:
        """Say what can be looked for."""
        self._check_person(request)
        fields = (Field(each.value, (), FieldKind.TEXT_SINGLE, label) for each, label in _LABELS.items())
        form = DataForm.of(FormKind.FORM, ns.SEARCH, *fields, title="User search", instructions=_INSTRUCTIONS)
        return UserSearch(dict.fromkeys(FIELDS, ""), _INSTRUCTIONS, form).encode()

    @handles(UserSearch, kind="set", at=Addressee.SERVER)  # §2.2, §3
    async def search(self, request: Iq[UserSearch]) -> Element:
        """Answer with the people who are found, in the form in which was asked."""
        self._check_person(request)
        options, form = self._options.now, request.payload.form
        if form is not None and form.form_type not in {"", ns.SEARCH}:
            raise StanzaError("bad-request", f"the form is another one than {ns.SEARCH}")
        said = request.payload.fields if form is None else {each.name: each.value for each in form.fields}
        wanted = _wanted(said)
        if max((len(each.start) for each in wanted), default=0) < options.minimum_letters:
            text = f"Fill in a word of at least {options.minimum_letters} letters"
            raise StanzaError("not-acceptable", text)
        self._count(request.sender.bare, options)
        found = await self._vcards.search(self._domain, wanted, limit=options.max_results)
        people = sorted(found, key=lambda each: each.account.text)
        if form is not None:
            return UserSearch(form=_result(people)).encode()
        return UserSearch(found=tuple(map(_person, people))).encode()

    def _check_person(self, request: Iq[UserSearch]) -> None:
        """Raise `forbidden` for everybody but people of the domain who are logged in."""
        if request.session is None or request.sender.domain != self._domain:
            raise StanzaError("forbidden", "Only people of this domain may look for others here")

    def _count(self, account: Jid, options: UserSearchOptions) -> None:
        rate = Rate(options.searches_per_minute / 60, options.searches_per_minute)
        if wait := self._searches.take(account, rate, self._clock.monotonic()):
            text = f"You can search again in {math.ceil(wait)} seconds"
            raise StanzaError("resource-constraint", text)


def _wanted(said: Mapping[str, str]) -> tuple[WantedWord, ...]:
    """Give the words that are looked for; raises `not-acceptable` for too many."""
    known = {field.value: field for field in SearchField}
    wanted = tuple(
        WantedWord(known[name], word)
        for name, text in said.items()
        if name in known
        for word in words_of(known[name], text.replace(_ANY, " "))
    )
    if len(wanted) > _MOST_WORDS:
        raise StanzaError("not-acceptable", f"Fill in {_MOST_WORDS} words at most")
    return wanted


def _person(found: FoundVCard) -> FoundPerson:
    return FoundPerson(found.account, {field.value: text for field, text in found.values.items()})


def _result(people: list[FoundVCard]) -> DataForm:
    """Give the people as a table (XEP-0004 §3.4)."""
    columns = (_JID, *(Field(each.value, (), FieldKind.TEXT_SINGLE, name) for each, name in _LABELS.items()))
    items = tuple(
        (
            Field("jid", (each.account.text,)),
            *(Field(field.value, (each.values.get(field, ""),)) for field in _LABELS),
        )
        for each in people
    )
    form = DataForm.of(FormKind.RESULT, ns.SEARCH)
    return msgspec.structs.replace(form, reported=columns, items=items)
