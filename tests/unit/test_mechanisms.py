"""The registry of mechanisms, and the table of the docs that is made from it."""

from __future__ import annotations

from pathlib import Path

from mcu_hybrid import mechanisms
from mcu_hybrid.report.palette import COLORS, style_of

BEGIN = "<!-- routers: made from mcu_hybrid/mechanisms, held by tests/unit/test_mechanisms.py -->\n"
END = "<!-- end of routers -->"


def docs_table() -> str:
    """The routers as the page has them."""
    rows = [
        f"| `{one.name}` | {one.id} | {one.scope} | {one.doc} | {one.source} |"
        for one in mechanisms.every()
    ]
    head = "| router | number | of the | score: higher = more in need of the cloud | source |"
    return "\n".join([head, "|---|---|---|---|---|", *rows]) + "\n"


def test_the_page_has_the_registry_s_table(root: Path) -> None:
    page = (root / "docs" / "hybrid.md").read_text("utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == docs_table(), (
        f"docs/hybrid.md must have between its marks:\n{docs_table()}"
    )


def test_numbers_names_and_styles_are_their_own() -> None:
    known = mechanisms.every()
    assert [one.id for one in known] == [1, 2, 3, 4]
    assert len({one.title for one in known}) == len({one.style for one in known}) == len(known)
    for one in known:
        color, mark, _ = style_of(one.title)
        assert (color, mark) == (one.style.color, one.style.mark) and color in COLORS
        assert one.doc and one.source
    assert [one.column for one in mechanisms.of_logits()] == [0, 1, 2]
