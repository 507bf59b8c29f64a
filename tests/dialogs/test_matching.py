"""The rules by which plays are read and stanzas compared: a harness that overlooks things proves nothing."""

import pytest
from lxml import etree

from tests.harness.dialog import Performance, Person, Play

PEOPLE = "people\n    romeo: romeo@localhost/orchard\n\n"


class Memory:
    """A client to whom everything was sent already."""

    def __init__(self, *stanzas: str) -> None:
        self._stanzas = list(stanzas)

    async def send(self, xml: str) -> None:
        if 'id="silence"' in xml:
            self._stanzas.append('<iq xmlns="jabber:client" type="error" id="silence"/>')

    async def receive(self) -> etree._Element:
        return etree.fromstring(self._stanzas.pop(0))

    async def close(self) -> None:
        pass


async def perform(expected: str, *received: str) -> list[str]:
    play = Play.parse(f"{PEOPLE}romeo logs in\nromeo receives\n    {expected}\n")

    async def enter(person: Person) -> Memory:
        return Memory(*(text.replace("romeo@", f"{person.local}@") for text in received))

    performance = Performance(play, play.cast("7"), enter)
    await performance.run()
    return performance.transcript


MESSAGE = (
    '<message xmlns="jabber:client" from="a@b" to="romeo@localhost" xml:lang="en"><body>Hi</body></message>'
)


@pytest.mark.parametrize(
    "expected",
    [
        '<message from="a@b"><body>Hi</body></message>',
        '<message from="a@b" to="romeo@localhost"><body>Hi</body></message>',
        '<message from="{any}"><body>{word}</body></message>',
        '<message from="a@b" type="{maybe}" play:more="true"/>',
        '<message from="a@b" play:more="true"><body play:absent="true">Ho</body></message>',
    ],
)
async def test_what_matches(expected: str) -> None:
    await perform(expected, MESSAGE)


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ('<message from="a@b"><body>Ho</body></message>', "body is 'Hi' instead of 'Ho'"),
        ('<message from="a@c"><body>Hi</body></message>', "from is 'a@b' instead of 'a@c'"),
        ("<message><body>Hi</body></message>", "attribute from too many"),
        ('<message from="a@b" type="chat"><body>Hi</body></message>', "no attribute type"),
        ('<message from="a@b"/>', "a child too many"),
        ('<message from="a@b"><body>Hi</body><x xmlns="y"/></message>', "lacks"),
        ('<message from="a@b"><body xmlns="other">Hi</body></message>', "lacks"),
        ('<message from="{one}"><body>{one}</body></message>', "but {one} was 'a@b'"),
        (
            '<message from="a@b" play:more="true"><body play:absent="true">Hi</body></message>',
            "<message> has",
        ),
        ('<presence from="a@b"/>', "instead of {jabber:client}presence"),
    ],
)
async def test_what_does_not_match(expected: str, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason.replace("{", r"\{")):
        await perform(expected, MESSAGE)


async def test_more_than_the_play_says_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="received instead of nothing"):
        await perform('<message from="a@b"><body>Hi</body></message>', MESSAGE, MESSAGE)


async def test_the_transcript_masks_wildcards_and_real_names() -> None:
    expected = '<message from="{any}" to="romeo@localhost"><body>{any}</body></message>'
    tag = '{jabber:client}message from="{any}" to="romeo@localhost"'
    transcript = await perform(expected, MESSAGE)
    assert transcript == [f"romeo receives <{tag}><{{jabber:client}}body>{{any}}</></>"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{PEOPLE}romeo dances\n", "line 4: no stage direction: 'romeo dances'"),
        (f"{PEOPLE}juliet logs in\n", "not among the people: juliet"),
    ],
)
def test_plays_that_make_no_sense(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Play.parse(text)
