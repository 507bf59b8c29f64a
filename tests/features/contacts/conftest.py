"""What the stories about contacts may ask for."""

import pytest

from tests.features.contacts.people import Elsewhere, befriend, interested


@pytest.fixture
def elsewhere(world):
    """Another server, elsewhere.test, that writes down what it gets."""
    return Elsewhere(world)


@pytest.fixture(params=["bob@localhost", "bob@other.test"])
async def bob(world, request):
    """Bob at his desk, who sees Alice and whom she sees."""
    await befriend(world, "alice@localhost", request.param)
    return await interested(world, f"{request.param}/desk")
