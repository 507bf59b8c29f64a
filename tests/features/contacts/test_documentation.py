"""The table in docs/explanation/contacts.md says what the code does."""

from pathlib import Path

from tidings.features.contacts.subscription import INBOUND, OUTBOUND, State, Verb

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "contacts.md"


def words(state: State) -> str:
    out, in_ = ("out" if state.pending_out else ""), ("in" if state.pending_in else "")
    waiting = ", ".join(filter(None, (out, in_)))
    return state.subscription.value.capitalize() + (f" + {waiting}" if waiting else "")


def draw() -> str:
    lines = [
        "| state | "
        + " | ".join(f"sends {verb}" for verb in Verb)
        + " | "
        + " | ".join(f"gets {verb}" for verb in Verb)
        + " |",
        "|---" * 9 + "|",
    ]
    for state in State:
        cells = [
            words(after) if (after := table[verb].get(state)) else "·"
            for table in (OUTBOUND, INBOUND)
            for verb in Verb
        ]
        lines.append(f"| **{words(state)}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_the_table_of_states_is_the_code():
    page = PAGE.read_text()
    assert draw() in page, f"put this into {PAGE.name}:\n{draw()}"
