"""What the stories' own modules assert is told in full."""

import pytest

pytest.register_assert_rewrite(
    "tests.stories.device",
    "tests.stories.knowledge",
    "tests.stories.looking",
    "tests.stories.machine",
    "tests.stories.room_device",
    "tests.stories.room_machine",
    "tests.stories.story_machine",
)
