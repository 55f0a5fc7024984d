"""A result of experiments/hybrid as markdown, and as the report's curve page.

    python -m experiments.hybrid.show experiments/results/hybrid_reduced.json

writes the tables of the committed result into docs/hybrid.md, between its two marks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from experiments.hybrid.committed import ROOT, from_record
from experiments.hybrid.plan import ABLATIONS, TITLES
from mcu_hybrid.machines.price import milliseconds
from mcu_hybrid.report import html
from mcu_hybrid.report.data import Methods, Report, ReportPart
from mcu_hybrid.routing.methods import COVERAGES

FIRST_SHOWN = ("whole", "trained on, margin", "margin", "entropy", "appealnet, white box")


_KEEPS = {
    "agreement": "both say the same",
    "margin": "asking does not help",
    "margin_upper": "the device is right",
}


def _edge(networks: dict[str, Any]) -> str:
    """The device's time with its range; "no time" where its core has none."""
    ends = (networks.get(f"edge_{end}ms") for end in ("", "low_", "high_"))
    us = [None if ms is None else 1e3 * ms for ms in ends]
    return "no time" if us[0] is None else milliseconds(us[0], us[1], us[2])


def markdown(result: dict[str, Any]) -> list[str]:
    """The tables as text."""
    names = list(dict.fromkeys(row["method"] for row in result["rows"]))
    rows = {(row["method"], row["coverage_target"]): row for row in result["rows"]}
    networks = result["networks"]
    lines = [
        f"{result['dataset']}: {result['images']}; base {networks['base_macs'] / 1e6:.2f} M MACs, "
        f"{networks['arena_bytes'] / 1024:.0f} KB arena, {networks['weights_bytes'] / 1024:.0f} KB "
        f"weights, about {_edge(networks)} on {networks['board']} (an estimate); "
        f"global {networks['global_macs'] / 1e6:.1f} M MACs",
        "",
        "Accuracy in % (95 % interval), mean of the seeds, int8 on the device, thresholds from the "
        "calibration split.",
        "",
        "| method | " + " | ".join(f"{c:.0%} kept" for c in COVERAGES) + " |",
        "|---|" + "---:|" * len(COVERAGES),
    ]
    for name in names:
        if (name, COVERAGES[0]) not in rows:
            alone = next(row for row in result["rows"] if row["method"] == name)
            lines.append(f"| {name} | {_cell(alone)} |" + " |" * (len(COVERAGES) - 1))
            continue
        cells = " | ".join(_cell(rows[name, c]) for c in COVERAGES)
        lines.append(f"| {name} | {cells} |")
    bound = [result["oracle"]["accuracy"][_at(result["oracle"], c)] for c in COVERAGES]
    lines.append("| oracle | " + " | ".join(f"{100 * a:.2f}" for a in bound) + " |")
    lines += ["", "| oracle of | keeps where | accuracy | kept |", "|---|---|---:|---:|"]
    for title, oracles in result["oracles"].items():
        for name, row in oracles.items():
            cells = f"{100 * row['accuracy']:.2f} | {row['coverage']:.1%}"
            lines.append(f"| {title} | {name}: {_KEEPS[name]} | {cells} |")
    lines += ["", "| whole method against | " + " | ".join(f"{c:.0%}" for c in COVERAGES) + " |"]
    lines.append("|---|" + "---:|" * len(COVERAGES))
    for name, gaps in result["gaps"].items():
        cells = " | ".join(
            f"{100 * g['gap']:+.2f} ({100 * g['gap_ci'][0]:+.2f} .. {100 * g['gap_ci'][1]:+.2f})"
            for g in gaps
        )
        lines.append(f"| {name}{' (ablation)' if name in ABLATIONS else ''} | {cells} |")
    return lines


def conditions(result: dict[str, Any]) -> list[str]:
    """What was asked of the result: for who runs the benchmark, not for a page's readers."""
    lines = ["| condition | value | least | met |", "|---|---:|---:|---|"]
    for row in result["conditions"]:
        met = ("yes" if row["met"] else "NO") + ("" if row["binding"] else " (not binding here)")
        lines.append(f"| {row['what']} | {row['value']:.2f} | {row['least']:g} | {met} |")
    return lines


def _cell(row: dict[str, Any]) -> str:
    low, high = row["accuracy_ci"]
    return f"{100 * row['accuracy']:.2f} ({100 * low:.1f} .. {100 * high:.1f})"


def _at(curve: dict[str, list[float]], coverage: float) -> int:
    return int(np.argmin(np.abs(np.array(curve["coverage"]) - coverage)))


def report_data(result: dict[str, Any]) -> Report:
    """What the report's page shows of a result."""
    singles = {
        r["method"]: r for r in result["rows"] if r["method"] in ("on-device only", "cloud only")
    }
    series = [
        {
            "name": name,
            "title": TITLES.get(name, name),
            "first": name in FIRST_SHOWN,
            "curve": curve,
        }
        for name, curve in result["curves"].items()
    ]
    seeds = len(result.get("seeds", []))
    title = "Device, cloud, or both"
    subtitle = f"Every method on {result['dataset']}, mean of {seeds} seeds"
    methods: Methods = {
        "series": series,
        "bound": {"title": TITLES["oracle"], "curve": result["oracle"]},
        "single": [{"title": TITLES[name], **row} for name, row in singles.items()],
        "dataset": str(result["dataset"]),
        "samples": result["images"]["test"],
        "calibration_samples": result["images"]["calibration"],
        "seeds": seeds,
        "link": result["link"],
        "energy": _energy_basis(result),
    }
    part = ReportPart(title=title, subtitle=subtitle, methods=methods)
    return Report(title=title, subtitle=subtitle, parts=(part,))


def _energy_basis(result: dict[str, Any]) -> str:
    """What the energy figure is made of."""
    radio = result["link"].get("energy_basis")
    told = f"board, computing and asleep while it waits ({result['power']['basis']})"
    return f"{told}; radio ({radio})" if radio else f"{told}; the radio is not in it"


def write_report(result: dict[str, Any], path: Path) -> None:
    """Write the curve page."""
    html.write(report_data(result), path)


BEGIN, END = "<!-- result: begins -->", "<!-- result: ends -->"


def into_docs(page: str, result: dict[str, Any]) -> str:
    """The page with the tables of ``result`` between its marks."""
    head, _, rest = page.partition(BEGIN)
    return "\n".join([head + BEGIN, "", *markdown(result), "", END]) + rest.partition(END)[2]


if __name__ == "__main__":
    docs = ROOT / "docs" / "hybrid.md"
    found = from_record(Path(sys.argv[1]))
    docs.write_text(into_docs(docs.read_text("utf-8"), found), "utf-8")
