"""The word filter, installed as a user installs it: what it does to messages, and where it can be seen."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.extension import PACKAGE, on_path
from tests.harness.server_process import tidings_command
from tests.harness.world import World
from tidings.app.known_features import known_features
from tidings.base.jid import Jid
from tidings.operations.all import catalogue_of
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.operations.values import to_plain

NAMESPACE = "urn:example:word-filter"
DISCO = "http://jabber.org/protocol/disco#info"


@pytest.fixture
def known(site):
    with on_path(site):
        yield known_features(("word-filter",))


@pytest.fixture
async def start(known):
    worlds = []

    async def start(**options):
        chosen = known.options["word_filter"](words=("swordfish", "c++"), **options)
        worlds.append(await World.start(features=known.features, options={"word_filter": chosen}))
        return worlds[-1]

    yield start
    for world in worlds:
        await world.stop()


def message(text, to="bob@localhost", more=""):
    return f"<message to='{to}' type='chat'><body>{text}</body>{more}</message>"


def bodies(client):
    return [each.text_of("body") for each in client.take("message")]


async def count(world, known, user="alice@localhost", caller=None):
    context = world.context if caller is None else world.context.acting_for(caller)
    answer = await catalogue_of(known.features).call(context, "word-filter", "count", {"user": user})
    return to_plain(answer)["filtered"]


async def test_a_message_with_a_word_is_refused(start, known):
    world = await start()
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")
    await alice.send(message("Swordfish!"), message("swordfishes"), message("I like C++, really"))
    refused = alice.take("message")
    assert [each.get("type") for each in refused] == ["error", "error"]
    assert refused[0].find("error").find("policy-violation", "urn:ietf:params:xml:ns:xmpp-stanzas")
    assert bodies(bob) == ["swordfishes"]
    assert await count(world, known) == 2


async def test_what_is_rewritten_is_what_everybody_gets(start, known):
    world = await start(action="rewrite", replacement="\\1")
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")
    await alice.send(
        message("a SWORDFISH", more="<body xml:lang='de'>swordfish?</body><active xmlns='urn:c'/>")
    )
    [got] = bob.take("message")
    assert [(each.get("xml:lang"), each.text) for each in got.find_all("body")] == [
        (None, "a \\1"),
        ("de", "\\1?"),
    ]
    assert got.find("active", "urn:c") is not None
    assert alice.take("message") == []
    assert await count(world, known) == 1


async def test_messages_that_are_filtered_at_the_same_time_are_all_counted(start, known):
    world = await start()
    phone, tablet = await world.online("alice@localhost/phone"), await world.online("alice@localhost/tablet")
    phone.push(*(message("swordfish") for _ in range(10)))
    tablet.push(*(message("swordfish") for _ in range(10)))
    await world.settle()
    assert await count(world, known) == 20


async def test_each_domain_counts_its_own_accounts(start, known):
    world = await start()
    carol = await world.online("carol@other.test/c")
    await carol.send(message("swordfish"))
    assert await count(world, known, "carol@other.test") == 1
    assert await count(world, known, "bob@localhost") == 0


async def test_owners_see_their_count_and_nobody_elses(start):
    world = await start()
    alice = await world.online("alice@localhost/a")
    await alice.send(message("swordfish"))
    answer = await alice.request(f"<iq type='get' id='1'><filtered xmlns='{NAMESPACE}'/></iq>")
    assert answer.find("filtered", NAMESPACE).get("count") == "1"
    refused = await alice.request(
        f"<iq type='get' id='2' to='bob@localhost'><filtered xmlns='{NAMESPACE}'/></iq>"
    )
    assert refused.get("type") == "error"


async def test_disco_tells_of_it(start):
    world = await start()
    alice = await world.online("alice@localhost/a")
    for target in ("localhost", "alice@localhost"):
        answer = await alice.request(f"<iq type='get' id='1' to='{target}'><query xmlns='{DISCO}'/></iq>")
        assert NAMESPACE in {each.get("var") for each in answer.find("query", DISCO).children}


async def test_a_new_account_begins_without_the_old_count(start, known):
    world = await start()
    alice = await world.online("alice@localhost/a")
    await alice.send(message("swordfish"))
    await world.context.accounts.remove(Jid("alice@localhost"))
    await world.settle()
    await world.register("alice@localhost")
    assert await count(world, known) == 0


async def test_only_who_administers_the_domain_may_count(start, known):
    world = await start()
    alice, elsewhere = Jid("alice@localhost"), Caller.administrator(Jid("root@other.test"), "other.test")
    for caller in (Caller.user(alice), elsewhere):
        with pytest.raises(OperationError, match="may not") as refused:
            await count(world, known, caller=caller)
        assert refused.value.code == "not-allowed"
    assert await count(world, known, caller=Caller.administrator(Jid("root@localhost"), "localhost")) == 0


async def test_its_operation_is_a_command_of_administrators(known):
    world = await World.start(features=known.features, admins=["root@localhost"])
    root = await world.online("root@localhost/r")
    items = "http://jabber.org/protocol/disco#items"
    answer = await root.request(
        f"<iq type='get' id='1' to='localhost'>"
        f"<query xmlns='{items}' node='http://jabber.org/protocol/commands'/></iq>"
    )
    nodes = {each.get("node") for each in answer.find("query", items).children}
    assert any("word-filter" in node for node in nodes)
    await world.stop()


def test_its_own_tests_pass_in_a_server_process(site, tmp_path):
    """As its author runs them: beside an installed server, without anything of this repository's tests."""
    package = shutil.copytree(PACKAGE, tmp_path / "word-filter")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    commands = os.pathsep.join([str(tidings_command().parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path("tests"))],
        cwd=package,
        env={**os.environ, "PYTHONPATH": path, "PATH": commands},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
