"""The report's table of requantisation forms: how many channels use which, and what each one is."""

from __future__ import annotations

from collections.abc import Mapping

# Named by the code generator (compiler/exact/{requant,slope}.py, compiler/select/mve/requant.py).
FORMS = {
    "slope": "a straight line of the channel's own, begun in the accumulator: multiply, saturate",
    "line": "a straight line with a start of the channel's own: add, multiply, saturate",
    "fine": "the same, placed finer by a third constant",
    "exact": "TFLite's two roundings as they are, rearranged",
    "mve up": "TFLite's two roundings; nothing that is kept is negative, so ties need no care",
    "mve away": "TFLite's two roundings; ties of negative numbers are corrected",
    "mve any": "TFLite's two roundings; ties corrected, factors above 1 shifted first",
}


def form_rows(forms: Mapping[str, int] | None) -> list[dict[str, str]]:
    """Texts of one row per form, most channels first; empty where there is nothing to tell."""
    total = sum((forms or {}).values())
    return [
        {
            "form": form,
            "what": FORMS.get(form, ""),
            "channels": f"{count:,}",
            "share": f"{100 * count / total:.1f}",
        }
        for form, count in sorted((forms or {}).items(), key=lambda item: (-item[1], item[0]))
        if count
    ]
