"""Colours and line styles of the report, by name, for a light and a dark page.

Not here: what a figure shows. Figures name a colour; the style sheet made here gives it its value,
so that a page follows the reader's setting without a second drawing.
"""

from __future__ import annotations

from mcu_hybrid import mechanisms

# Okabe and Ito's palette, told apart with every common colour vision; shapes and dashes repeat it.
# name -> on a light page, on a dark one
COLORS = {
    "blue": ("#0072b2", "#4fa3dc"),
    "orange": ("#e69f00", "#f0b441"),
    "green": ("#009e73", "#35c495"),
    "red": ("#d55e00", "#f28a4a"),
    "sky": ("#56b4e9", "#9fd6f5"),
    "pink": ("#cc79a7", "#e2a3c6"),
    "olive": ("#8a6d00", "#c9ae4e"),
    "purple": ("#7a4fa3", "#b795d8"),
    "slate": ("#44606e", "#93b0be"),
    "rose": ("#b03060", "#e0749b"),
    "ink": ("#1b1f24", "#e6e9ec"),
    "muted": ("#5b6470", "#a7b0ba"),
    "faint": ("#9aa3ad", "#747e89"),
    "grid": ("#e6e9ed", "#2c333b"),
    "paper": ("#ffffff", "#181c21"),
}
SOLID, DOTTED, DASHED, DASHDOT = "", "2 4", "7 5", "7 4 2 4"
_DASHES = {"solid": SOLID, "dotted": DOTTED, "dashed": DASHED, "dashdot": DASHDOT}
_SINGLE_STYLE = {  # a single answerer -> colour, marker, dash; routers bring their own
    "on-device only": ("red", "triangle", SOLID),
    "cloud only": ("green", "diamond", SOLID),
}
_OTHERS = (("olive", "circle", DOTTED), ("slate", "square", DASHED))
# name in route_eval.oracles -> title, colour, dash
BOUNDS = {
    "best": ("oracle (best possible)", "muted", DOTTED),
    "random": ("blind routing", "faint", DASHED),
}
SINGLE = tuple(_SINGLE_STYLE)

# What figures are drawn with; ``--c`` is the colour of the element's class.
FIGURE_CSS = """
.ln { fill: none; stroke: var(--c); stroke-linejoin: round; }
.area { fill: var(--c); fill-opacity: 0.14; stroke: none; }
.mk { fill: var(--c); stroke: var(--c-paper); stroke-width: 1.5; }
.open { fill: none; stroke: var(--c); stroke-width: 2.5; }
.err { stroke: var(--c); stroke-width: 1.2; }
.box { fill: var(--c); fill-opacity: 0.72; stroke: var(--c-paper); stroke-width: 1.5; }
.hit { fill: transparent; }
.hit:hover { fill: var(--c); fill-opacity: 0.35; }
.grid { stroke: var(--c-grid); }
.tick { fill: var(--c-muted); font-size: 12px; }
.name { fill: var(--c-muted); font-size: 13px; }
.label { fill: var(--c); font-size: 12.5px; paint-order: stroke; stroke: var(--c-paper);
  stroke-width: 3px; stroke-linejoin: round; }
.inbox { fill: var(--c-ink); font-size: 11px; }
"""


def style_of(method: str, number: int = 0) -> tuple[str, str, str]:
    """Colour, marker and dash of a method; unknown ones get the remaining styles in turn."""
    for one in mechanisms.every():
        if one.title == method:
            return one.style.color, one.style.mark, _DASHES[one.style.dash]
    return _SINGLE_STYLE.get(method, _OTHERS[number % len(_OTHERS)])


def color_css(root: str = ":root") -> str:
    """The colours as variables of ``root``, and a class for each."""
    light, dark = (
        " ".join(f"--c-{name}: {pair[i]};" for name, pair in COLORS.items()) for i in (0, 1)
    )
    classes = "\n".join(f".c-{name} {{ --c: var(--c-{name}); }}" for name in COLORS)
    return (
        f"{root} {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ {root} {{ {dark} }} }}\n{classes}\n"
    )
