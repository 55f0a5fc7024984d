"""A report's data as the steps make it: real routing arithmetic, simulated labels, a small net."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcu_hybrid.artifacts.codec import plain_to, to_json
from mcu_hybrid.report import answers
from mcu_hybrid.report.data import Report, ReportPart
from mcu_hybrid.routing import evaluate
from mcu_hybrid.routing.link_costs import PRESETS
from mcu_hybrid.routing.outcomes import Outcomes
from mcu_hybrid.routing.thresholds import threshold_for

# name, op, macs, instructions per MAC, output bytes, scratch bytes
LAYERS = (
    ("base/stem/conv", "CONV_2D", 110_592, 5.3, 6144, 432),
    ("base/block1/depthwise", "DEPTHWISE_CONV_2D", 55_296, 9.8, 6144, 0),
    ("base/block1/pointwise", "CONV_2D", 147_456, 3.1, 6144, 96),
    ("base/block2/depthwise", "DEPTHWISE_CONV_2D", 13_824, 10.4, 1536, 0),
    ("base/block2/pointwise", "CONV_2D", 73_728, 3.2, 3072, 96),
    ("base/block3/depthwise", "DEPTHWISE_CONV_2D", 27_648, 9.6, 3072, 0),
    ("base/block3/pointwise", "CONV_2D", 147_456, 3.0, 3072, 192),
    ('base/block3/add <&> "quoted"', "ADD", 0, 0.0, 3072, 0),
    ("base/pool", "MEAN", 0, 0.0, 48, 256),
    ("base/classifier", "FULLY_CONNECTED", 480, 6.2, 16, 0),
    ("router/features", "ROUTE_FEATURES", 0, 0.0, 16, 0),
    ("router/hidden", "FULLY_CONNECTED", 384, 5.9, 32, 0),
    ("router/score", "FULLY_CONNECTED", 32, 9.0, 16, 0),
)


def report_of(data: dict[str, Any]) -> Report:
    """The page of plain data as the steps write it: one build, or several ``parts``."""
    head = {key: data.get(key, "") for key in ("title", "subtitle")}
    parts = data.get("parts") or [data]
    return Report(**head, parts=tuple(plain_to(ReportPart, part) for part in parts))


def bench() -> dict[str, Any]:
    rows = []
    for name, op, macs, per_mac, out, _ in LAYERS:
        instructions = int(macs * per_mac) or 12 * out
        rows.append({"name": name, "op": op, "macs": macs, "instructions": instructions})
    total = sum(row["instructions"] for row in rows)
    for row in rows:
        row |= {"ticks": row["instructions"] // 40, "share": row["instructions"] / total}
    return {
        "board": "mps2-an500",
        "core": "cortex-m7",
        "engine": "aot",
        "model_sha256": "9f" * 32,
        "build_id": "3ac1" * 8,
        "macs": sum(row["macs"] for row in rows),
        "instructions": total,
        "ticks": total // 40,
        "tick_hz": 25_000_000,
        "latency_us": total * 0.79 / 480,
        "latency_is_estimate": True,
        "latency_basis": "instructions x 0.79 cycles at 480 MHz (STM32H743), ±15 %",
        "arena_bytes": 12_720,
        "sram_bytes": 17_140,
        "stack_bytes": 1_284,
        "flash": {"code_bytes": 21_316, "weights_bytes": 14_832},
        "layers": rows,
        "runs": 201,
        "exact": True,
        "differing_outputs": 0,
    }


def plan() -> dict[str, Any]:
    buffers = [_box("input", 0, -1, 0, 6144, 3072)]
    at = [0, 6144, 0, 6144, 0, 6144, 0, 3072, 0, 64, 0, 32, 64]
    for i, (name, _, _, _, out, scratch) in enumerate(LAYERS):
        last = i + 1 if i not in (9, 12) else len(LAYERS)
        last = 7 if i == 4 else last
        offset = 9216 if i == 4 else at[i]
        buffers.append(_box(name, i + 1, i, last, offset, out))
        if scratch:
            buffers.append(_box(f"scratch of {name}", None, i, i, 12_288, scratch))
    ops = [
        {"name": layer[0], "op": layer[1], "live_bytes": _live(buffers, i)}
        for i, layer in enumerate(LAYERS)
    ]
    return {
        "arena_bytes": 12_720,
        "lower_bound_bytes": 12_384,
        "scratch_bytes": 432,
        "peak_op": 2,
        "ops": ops,
        "buffers": buffers,
    }


def _box(
    name: str, tensor: int | None, first: int, last: int, offset: int, size: int
) -> dict[str, Any]:
    return {
        "name": name,
        "tensor": tensor,
        "first_op": first,
        "last_op": last,
        "offset": offset,
        "bytes": size,
    }


def _live(buffers: list[dict[str, Any]], time: int) -> int:
    return sum(b["bytes"] for b in buffers if b["first_op"] <= time <= b["last_op"])


def routing() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    n, classes = 4000, 10
    truth = rng.integers(0, classes, n)
    hard = rng.random(n) ** 1.4

    def said(accuracy: np.ndarray) -> np.ndarray:
        other = (truth + rng.integers(1, classes, n)) % classes
        return np.where(rng.random(n) < accuracy, truth, other)

    device, cloud = said(1 - 0.62 * hard), said(0.97 - 0.18 * hard)
    scores = {
        "entropy": np.round(40_000 * hard + 16_000 * rng.standard_normal(n)).astype(int),
        "router": np.round(90 * hard + 24 * rng.standard_normal(n) - 60).astype(int),
    }
    test = slice(1000, None)
    known = {name: s[test] for name, s in scores.items()}
    labels = Outcomes.of_two(device[test], cloud[test], truth[test], known)
    link = PRESETS["wifi"]
    edge_ms, sent = bench()["latency_us"] / 1e3, 3175
    costs = evaluate.Costs(edge_ms, link.query_ms(sent, 190, 4.0), sent)
    routers = {
        name: {c: threshold_for(s[:1000], c) for c in evaluate.COVERAGES}
        for name, s in scores.items()
    }
    return {
        "rows": to_json(evaluate.table(labels, routers, costs)),
        "curves": to_json({name: evaluate.curve(labels, name, costs) for name in scores}),
        "oracles": to_json(evaluate.oracles(labels, costs)),
        "link": to_json(link.facts()),
        "edge_ms": edge_ms,
        "query_ms": costs.query_ms,
        "query_bytes": sent,
        "latency_is_estimate": True,
        "dataset": "CIFAR-10 (JPEG)",
        "samples": labels.count,
        "calibration_samples": 1000,
        "deployed": {"router": 1, "coverage": 0.8, "threshold": 12},
        "operating": {
            "router": "learned",
            "threshold": 12,
            "coverage": 0.79,
            "accuracy": 0.81,
            "latency_ms": 17.0,
        },
        "confusion": to_json(answers.confusion(_answers(device[test], cloud[test], truth[test]))),
        "pictures": to_json(
            answers.pictures(
                _answers(device[test], cloud[test], truth[test]),
                np.arange(0, 2000, 3),
                rng.integers(0, 256, (667, 32, 32, 3), np.uint8),
            )
        ),
        "counters": {
            "asked": 3000,
            "kept": 2391,
            "queried": 606,
            "fallbacks": {"timeout": 3},
            "coverage": 0.797,
            "bytes_sent": 606 * sent,
        },
    }


def _answers(device: np.ndarray, cloud: np.ndarray, truth: np.ndarray) -> answers.Answers:
    kept = np.arange(len(truth)) % 5 != 0
    return answers.Answers(
        Outcomes.of_two(device, cloud, truth), kept, ("cat", "dog", "<i>car</i>")
    )


def schedules() -> list[dict[str, Any]]:
    """A front, fastest first."""
    points = [(84_480, 11_935_882, 0), (41_088, 11_958_360, 1), (27_072, 12_110_681, 4)]
    return [
        {"arena_bytes": arena, "instructions": count, "streams": streams, "is_chosen": streams == 1}
        for arena, count, streams in points
    ]


def sample() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    quality = [
        {"name": name, "op": op, "sqnr_db": float(38 - 1.4 * i - 6 * (i > 5) + rng.normal())}
        for i, (name, op, *_) in enumerate(LAYERS)
    ]
    return {
        "title": "Hybrid digits classifier",
        "subtitle": "Base and router on a Cortex-M7, global model in the cloud",
        "routing": routing(),
        "bench": bench(),
        "plan": plan(),
        "schedules": schedules(),
        "requantise_forms": {"exact": 12, "line": 320, "slope": 1268},
        "quantisation": {
            "float_accuracy": 0.7312,
            "int8_accuracy": 0.7267,
            "samples": 3000,
            "layers": quality,
            "first_hurt": LAYERS[6][0],
            "threshold_db": 25.0,
        },
        "capacity": [
            {"name": "NUCLEO-H743ZI2", "flash_bytes": 2 << 20, "ram_bytes": 512 << 10},
            {"name": "NUCLEO-F746ZG", "flash_bytes": 1 << 20, "ram_bytes": 320 << 10},
            {"name": "nRF52840 DK", "flash_bytes": 1 << 20, "ram_bytes": 256 << 10},
        ],
        "provenance": {
            "tool_version": "0.1.0",
            "board": "mps2-an500 (Cortex-M7, QEMU), estimates for STM32H743ZI",
            "build_id": "3ac1" * 8,
            "facts": {"engine": "aot", "compiler": "arm-none-eabi-gcc 12.2.1"},
            "steps": [
                {"step": step, "folder": f"runs/demo/{step}", "sha256": f"{i}b" * 32}
                for i, step in enumerate(("train", "export", "build", "bench", "run"))
            ],
            "commands": [
                "mcu-hybrid train --data digits --out runs/demo/train",
                "mcu-hybrid export runs/demo/train --out runs/demo/export",
                "mcu-hybrid build runs/demo/export --board mps2-an500 --out runs/demo/build",
                "mcu-hybrid run runs/demo/build --out runs/demo/run",
            ],
        },
        "notes": ["One seed: differences below the 95 % intervals are noise."],
    }
