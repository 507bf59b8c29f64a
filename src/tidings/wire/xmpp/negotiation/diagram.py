"""Draws the transition tables as diagrams, so that the documentation cannot tell anything else.

The text between two markers of a page is replaced; a test compares `docs/explanation/negotiation.md`.
"""

import re
from enum import Enum

from tidings.wire.xmpp.negotiation.client_table import CLIENT_TABLE, ClientStreamState
from tidings.wire.xmpp.negotiation.machine import Go, I, S, Table
from tidings.wire.xmpp.negotiation.server_table import SERVER_TABLE, ServerStreamState


def draw(table: Table[S, I], start: S, closed: S) -> str:
    """Draw a table for Mermaid; ways to the end, which there are from everywhere, are left out."""
    ways: dict[tuple[Enum, Enum], list[str]] = {}
    for state, cells in table.items():
        for kind, cell in cells.items():
            for target in cell.to if isinstance(cell, Go) else ():
                if target is not closed:
                    ways.setdefault((state, target), []).append(kind.name.lower())
    lines = ["stateDiagram-v2", f"    [*] --> {start.name}"]
    lines += [
        f"    {state.name} --> {target.name}: {', '.join(sorted(kinds))}"
        for (state, target), kinds in ways.items()
    ]
    return "\n".join(lines)


def update(page: str) -> str:
    """Give the page with its diagrams drawn anew."""
    diagrams = {
        "server": draw(SERVER_TABLE, ServerStreamState.CONNECTED, ServerStreamState.CLOSED),
        "client": draw(CLIENT_TABLE, ClientStreamState.CONNECTED, ClientStreamState.CLOSED),
    }
    for name, diagram in diagrams.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        page = pattern.sub(rf"\1```mermaid\n{diagram}\n```\2", page)
    return page
