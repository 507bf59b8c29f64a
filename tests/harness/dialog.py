"""Plays: stories told with people who send and receive stanzas, run through any transport.

A play is a text file. Lines that begin at the margin are stage directions, indented lines are their XML:

    # The title is the first comment.
    people
        alice: alice@localhost/balcony
        bob: bob@localhost

    alice logs in
    alice sends
        <message to="bob@localhost"><body>Hello</body></message>
    alice receives
        <message from="bob@localhost" type="error"> ... </message>

Directions: `X logs in`, `X logs out`, `X sends`, `X receives` (in this order), `X receives in any order`,
`X receives nothing`, `X may receive` (from here on, any number of times), `X is thrown out: CONDITION`.

Everybody under `people` gets a fresh account, so the local parts in the file are replaced by unique ones. At
the end nobody may have received more than the play says.

In what is received, `{any}` matches any value and `{word}` any value that is the same wherever the word
stands, also in what is sent later; an attribute with `{maybe}` may be missing. `xml:lang` is ignored; so are,
unless the play names them, the server's `<delay/>`, `<stanza-id/>`, `<occupant-id/>` and `<time/>`, `id` and
`to` of a stanza, the account's own bare address in `from` of an IQ, and `<text/>` of an error.
`play:more="true"` allows more children, and `play:more="dropped"` such as differ from one run to the next; a
child with `play:absent="true"` must not be there. Errors may also echo what they answer (RFC 6120 §8.3.1).
"""

import contextlib
import copy
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lxml import etree

from tests.harness.matching import CLIENT, PLAY, WILDCARD, canonical, match_stanza, text_of

DIRECTION = re.compile(
    r"(?P<who>\w+) (?P<what>logs in|logs out|sends|receives( in any order| nothing)?|may receive)$"
)
THROWN_OUT = re.compile(r"(?P<who>\w+) is thrown out: (?P<condition>[a-z-]+)$")


class StreamEnd(Exception):  # noqa: N818 - an end is no error
    """The server closed the stream, with the condition of its stream error if it gave one."""

    def __init__(self, condition: str = "") -> None:
        super().__init__(condition or "closed without an error")
        self.condition = condition


class Client(Protocol):
    """What a play asks of a connected client."""

    async def send(self, xml: str) -> None:
        """Send one stanza, written as it stands in the play."""
        ...

    async def receive(self) -> etree._Element:
        """The next stanza; raises StreamEnd when there will be none and TimeoutError when none comes."""
        ...

    async def close(self) -> None:
        """Log out and return when the server has closed the stream, too."""
        ...


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a play: the name in the play and the real address of this performance."""

    name: str
    local: str
    domain: str
    resource: str

    @property
    def bare(self) -> str:
        """The account."""
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Direction:
    """One step of a play."""

    line: int
    who: str
    what: str
    text: str = ""
    condition: str = ""


@dataclass(slots=True)
class Play:
    """A parsed play."""

    title: str
    people: dict[str, str]
    directions: list[Direction] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Play":
        """Parse a file; raises ValueError with the line that makes no sense."""
        return cls.parse(path.read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> "Play":
        """Parse a play; raises ValueError with the line that makes no sense."""
        title = next((line[1:].strip() for line in text.splitlines() if line.startswith("#")), "")
        play = cls(title, {})
        for number, heading, block in _sections(text):
            if heading == "people":
                pairs = (line.split(":", 1) for line in block.split("\n") if line)
                play.people = {name.strip(): address.strip() for name, address in pairs}
            elif match := DIRECTION.match(heading):
                play.directions.append(Direction(number, match["who"], match["what"], block))
            elif match := THROWN_OUT.match(heading):
                play.directions.append(
                    Direction(number, match["who"], "is thrown out", condition=match["condition"])
                )
            else:
                raise ValueError(f"line {number}: no stage direction: {heading!r}")
        strangers = {step.who for step in play.directions} - set(play.people)
        if strangers:
            raise ValueError(f"not among the people: {', '.join(sorted(strangers))}")
        return play

    def cast(self, mark: str) -> dict[str, Person]:
        """The people with accounts of their own: `alice` becomes `alice-MARK`."""
        people = {}
        for name, address in self.people.items():
            bare, _, resource = address.partition("/")
            local, _, domain = bare.partition("@")
            people[name] = Person(name, f"{local}-{mark}", domain, resource)
        return people


def _sections(text: str) -> Iterator[tuple[int, str, str]]:
    """Headings with their line number and the indented text below them."""
    heading, start, block = "", 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            continue
        if line[:1].isspace() or not line:
            block.append(line.strip())
            continue
        if heading:
            yield start, heading, "\n".join(block).strip()
        heading, start, block = line.strip(), number, []
    if heading:
        yield start, heading, "\n".join(block).strip()


class Performance:
    """One run of a play with real clients; keeps the transcript of what everybody received."""

    def __init__(
        self, play: Play, cast: dict[str, Person], enter: Callable[[Person], Awaitable[Client]]
    ) -> None:
        self.transcript: list[str] = []
        self._play = play
        self._cast = cast
        self._enter = enter
        self._clients: dict[str, Client] = {}
        self._tolerated: dict[str, list[etree._Element]] = {name: [] for name in cast}
        self._words: dict[str, str] = {}
        self._aliases = {play.people[name].partition("/")[0]: person.bare for name, person in cast.items()}

    async def run(self) -> None:
        """Play it to the end; raises AssertionError with the line of the play that did not come true."""
        for step in self._play.directions:
            try:
                await self._perform(step)
            except (AssertionError, StreamEnd, TimeoutError) as failure:
                raise AssertionError(f"line {step.line}, {step.who} {step.what}: {failure}") from failure
        for name in self._clients:
            await self._expect_silence(name)
        for client in self._clients.values():
            await client.close()

    async def _perform(self, step: Direction) -> None:
        match step.what:
            case "logs in":
                self._clients[step.who] = await self._enter(self._cast[step.who])
            case "logs out":
                await self._expect_silence(step.who)
                await self._clients.pop(step.who).close()
            case "sends":
                for source in _split(self._with_real_addresses(step.text)):
                    await self._clients[step.who].send(
                        WILDCARD.sub(lambda word: self._words[word[1]], source)
                    )
            case "receives":
                for element in self._stanzas(step.text):
                    received = await self._receive(step.who)
                    self._note(step.who, [self._match(step.who, element, received)])
            case "receives in any order":
                await self._receive_in_any_order(step)
            case "may receive":
                self._tolerated[step.who].extend(self._stanzas(step.text))
            case "receives nothing":
                await self._expect_silence(step.who)
            case "is thrown out":
                await self._expect_end(step)
            case _:
                raise ValueError(f"line {step.line}: nobody knows how one {step.what}")

    async def _receive_in_any_order(self, step: Direction) -> None:
        expected = list(self._stanzas(step.text))
        matched = []
        while expected:
            received = await self._receive(step.who)
            reasons = []
            for candidate in expected:
                try:
                    matched.append(self._match(step.who, candidate, received))
                except AssertionError as reason:
                    reasons.append(str(reason))
                else:
                    expected.remove(candidate)
                    break
            else:
                raise AssertionError("none of the expected stanzas\n" + "\n".join(reasons))
        self._note(step.who, sorted(matched))

    async def _receive(self, who: str) -> etree._Element:
        """The next stanza that is not merely tolerated."""
        while True:
            received = await self._clients[who].receive()
            for tolerated in self._tolerated[who]:
                with contextlib.suppress(AssertionError):
                    self._match(who, tolerated, received)
                    break
            else:
                return received

    async def _expect_silence(self, who: str) -> None:
        """Everybody's pings come back with nothing before that person's own: then nothing is under way."""
        for name in [*(name for name in self._clients if name != who), who]:
            await self._clients[name].send(
                '<iq type="get" id="silence"><query xmlns="urn:tidings:silence"/></iq>'
            )
            if name == who:
                answer = await self._receive(name)
                assert answer.get("id") == "silence", f"received instead of nothing: {text_of(answer)}"
            else:
                await self._skip_to_answer(name)

    async def _skip_to_answer(self, name: str) -> None:
        """Wait for the answer and put what came before it back."""
        client = self._clients[name]
        early = []
        while (stanza := await client.receive()).get("id") != "silence":
            early.append(stanza)
        self._clients[name] = _Replay(client, early) if early else client

    async def _expect_end(self, step: Direction) -> None:
        try:
            stanza = await self._clients.pop(step.who).receive()
        except StreamEnd as end:
            condition = end.condition
        else:
            raise AssertionError(f"the stream did not end; received {text_of(stanza)}")
        assert condition == step.condition, f"the stream ended with {condition or 'no error'}"
        self.transcript.append(f"{step.who} is thrown out: {condition}")

    def _with_real_addresses(self, text: str) -> str:
        for alias, real in self._aliases.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(alias)}", real, text)
        return text

    def _stanzas(self, text: str) -> etree._Element:
        """The stanzas of a block, with this performance's addresses."""
        source = self._with_real_addresses(text)
        return etree.fromstring(f'<play xmlns="{CLIENT}" xmlns:play="{PLAY}">{source}</play>')

    def _match(self, who: str, expected: etree._Element, received: etree._Element) -> str:
        """The canonical text of what was received, changing values masked; AssertionError when it differs."""
        words = dict(self._words)
        masked = copy.deepcopy(received)
        own = self._cast[who].bare
        try:
            match_stanza(expected, masked, words, own)
        except AssertionError as reason:
            raise AssertionError(
                f"{reason}\n  expected {text_of(expected)}\n  received {text_of(received)}"
            ) from None
        self._words = words
        return canonical(masked)

    def _note(self, who: str, lines: list[str]) -> None:
        for line in lines:
            told = line
            for alias, real in self._aliases.items():
                told = told.replace(real, alias)
            self.transcript.append(f"{who} receives {told}")


class _Replay:
    """A client whose first stanzas were received already."""

    def __init__(self, client: Client, early: list[etree._Element]) -> None:
        self._client = client
        self._early = early

    async def send(self, xml: str) -> None:
        await self._client.send(xml)

    async def receive(self) -> etree._Element:
        return self._early.pop(0) if self._early else await self._client.receive()

    async def close(self) -> None:
        await self._client.close()


def _split(text: str) -> list[str]:
    """The text of each stanza of a block as the author wrote it, that is the source between root tags."""
    pieces, depth, start = [], 0, 0
    for tag in re.finditer(r"<(/?)[^<>]*?(/?)>", text):
        if depth == 0:
            start = tag.start()
        depth += 0 if tag[2] else -1 if tag[1] else 1
        if depth == 0:
            pieces.append(text[start : tag.end()])
    return pieces
