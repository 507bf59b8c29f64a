"""The page of what is missing is true: nothing on it is on the page of what there is."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
MISSING = DOCS / "explanation" / "what-tidings-does-not-do.md"
STANDARDS = DOCS / "reference" / "standards.md"


def documents(text: str) -> set[str]:
    """Give the documents that stand in the first columns of a page's tables."""
    firsts = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return set(re.findall(r"XEP-\d{4}", " ".join(firsts)))


def test_what_is_said_to_be_missing_is_not_there() -> None:
    missing = documents(MISSING.read_text(encoding="utf-8"))
    there = documents(STANDARDS.read_text(encoding="utf-8"))
    assert len(missing) > 5
    assert len(there) > 30
    assert missing & there == set()


def test_every_page_that_it_leads_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", MISSING.read_text(encoding="utf-8")):
        assert (MISSING.parent / link).exists(), link
