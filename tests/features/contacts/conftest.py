"""What the stories about contacts may ask for."""

import pytest

from tests.features.contacts.people import Elsewhere


@pytest.fixture
def elsewhere(world):
    """Another server, elsewhere.test, that writes down what it gets."""
    return Elsewhere(world)
