"""How often the log tells of the same, and of all together."""

from __future__ import annotations

from tidings.base.seldom_told import MOST_TOLD, SeldomTold


class Watch:
    """A clock that a test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_is_told_of_so_often_in_a_while_and_then_with_a_count() -> None:
    watch = Watch()
    seldom = SeldomTold(60, watch, at_once=3)
    assert [seldom.kept_quiet("alice") for _ in range(5)] == [0, 0, 0, None, None]
    assert seldom.kept_quiet("bob") == 0
    watch.now = 60
    assert [seldom.kept_quiet("alice") for _ in range(4)] == [2, 0, 0, None]


def test_all_together_have_a_bound_and_who_was_passed_over_is_counted() -> None:
    watch = Watch()
    seldom = SeldomTold(60, watch, most=2)
    assert [seldom.kept_quiet(str(number)) for number in range(4)] == [0, 0, None, None]
    watch.now = 60
    assert [seldom.kept_quiet(str(number)) for number in (3, 2, 1)] == [1, 1, None]


def test_what_is_remembered_is_bounded() -> None:
    seldom = SeldomTold(60, Watch(), most=1)
    for number in range(2 * MOST_TOLD):
        seldom.kept_quiet(str(number))
    assert len(seldom) == MOST_TOLD
