"""The engine's figures as markdown: speed beside the peers and the goals, memory and flash, time.

A result's key is "model@board"; "model/all@board" where dead channels were kept, "model/ram@board"
where the schedule of the smallest arena was built. targets.json names models in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mcu_hybrid.board.load import load_board
from mcu_hybrid.machines import price

Rows = Mapping[str, Mapping[str, Any]]
ALL = "/all"  # behind the name of a model that was built with all its channels
RAM = "/ram"  # behind one that was built with --optimize ram
VARIANTS = {ALL: ", all channels", RAM: ", smallest arena"}
MEMORY = (
    ("RAM in use", "ram_bytes", lambda row: row["sram_bytes"]),
    ("code", "code_bytes", lambda row: row["flash"]["code_bytes"]),
    ("constants", "constants_bytes", lambda row: row["flash"]["weights_bytes"]),
)


def document(results: Rows, peers: Mapping[str, Any], targets: Mapping[str, Any], head: str) -> str:
    """docs/device.md: ``head``, the figure, and the tables."""
    parts = (
        "# Device benchmark",
        f"{head} Peers: {peers['source']}",
        "![Executed instructions per inference beside the peers](device.svg)",
        markdown(results, peers, targets),
        "## Cycles and time, both estimates",
        cycles_text(results),
        cycles_markdown(results, peers),
        f"Goals (`benchmarks/targets.json`): {targets['source']}",
        "MAC/instr: multiply-accumulates of the model as it is given, per executed instruction; "
        "work that is left out (dead channels) counts as done, as in MLPerf Tiny.",
    )
    return "\n\n".join(parts) + "\n"


def markdown(results: Rows, peers: Mapping[str, Any], targets: Mapping[str, Any]) -> str:
    """Two tables: speed with the peers, then memory and flash; goals with yes or NO."""
    speed = _table(
        "model|core|instructions|must reach|MAC/instr|TFLM+CMSIS-NN|fewer by|TinyEngine|exact",
        (_speed(key, row, peers, targets) for key, row in results.items()),
    )
    columns = "|".join(f"{name}|must reach" for name, _, _ in MEMORY)
    memory = _table(
        f"model|core|{columns}|arena|TFLM arena|TinyEngine",
        (_memory(key, row, peers, targets) for key, row in results.items()),
    )
    return "\n".join([*speed, "", *memory])


CYCLES = (
    "Fewer instructions are not as much less time: our kernels load with LDM and LDRD, which are "
    "one instruction and several cycles. Nothing here was timed on hardware: cycles are "
    "instructions times the cycles per instruction that published instruction timings give for "
    "this code (`boards/cores.toml`; [engine.md](engine.md), Time): ours {ours}, TFLM with CMSIS- "
    "NN {theirs}, on Cortex-M7 and on M4 without wait states. Ranges: {ranges}. Milliseconds are "
    "those of the board named, and on the STM32F446 count the wait states of its flash. "
    "Cortex-M55 has no measured timings: instructions only."
)


def cycles_markdown(results: Rows, peers: Mapping[str, Any]) -> str:
    """Estimated cycles beside those of TFLM with CMSIS-NN by the same model, and milliseconds."""
    rows = (_cycles(key, row, peers) for key, row in results.items())
    return "\n".join(
        _table(
            "model|core|M cycles (range)|TFLM+CMSIS-NN, M cycles|fewer instructions by|"
            "fewer cycles by|ms, estimate (range)|exact",
            (list(row) for row in rows if row is not None),
        )
    )


def _cycles(key: str, row: Mapping[str, Any], peers: Mapping[str, Any]) -> Iterable[str] | None:
    """One row; None where the core's instructions have no price."""
    board = load_board(row["board"])
    core = board.core
    ours = price.cycles_per_instruction(core)
    theirs = price.cycles_per_instruction(core, price.TFLM)
    if ours is None or theirs is None:
        return None
    mine = row["instructions"] * ours
    below, above = core.cycles_range
    cmsis = peer_of(key, row["core"], peers).get("tflm_cmsis_nn")
    peer = None if cmsis is None else cmsis * theirs
    time = price.milliseconds(*(row[f"latency_{n}us"] for n in ("", "low_", "high_")))
    return (
        label(key),
        row["core"],
        f"{_millions(mine)} ({_millions(mine * (1 - below))}-{_millions(mine * (1 + above))})",
        "-" if peer is None else _millions(peer),
        "-" if cmsis is None else f"{cmsis / row['instructions']:.1f}x",
        "-" if peer is None else f"{peer / mine:.1f}x",
        f"{time}, {board.priced_chip.title}",
        "yes" if row["exact"] else "NO",
    )


def _millions(count: float) -> str:
    return f"{count / 1e6:.4f}" if count < 1e4 else f"{count / 1e6:.2f}"


def cycles_text(results: Rows) -> str:
    """What the table of cycles rests on."""
    cores = {(core := load_board(row["board"]).core).name: core for row in results.values()}
    priced = [core for core in cores.values() if core.cpi is not None]

    def each(code: str) -> str:
        found = (price.cycles_per_instruction(core, code) for core in priced)
        return " and ".join(f"{value:g}" for value in found)

    ranges = ", ".join(
        f"{core.name} -{100 * core.cycles_range[0]:.0f} .. +{100 * core.cycles_range[1]:.0f} %"
        for core in priced
    )
    return CYCLES.format(ours=each(price.AOT), theirs=each(price.TFLM), ranges=ranges)


def label(key: str) -> str:
    """A result's key as a reader's name of the model."""
    name = key.split("@")[0]
    return model_of(key) + VARIANTS.get(name[len(model_of(key)) :], "")


def model_of(key: str) -> str:
    """The model of a result's key, or of a name, without its variant."""
    return key.split("@")[0].split("/")[0]


def peer_of(key: str, core: str, peers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What peers need for this model; a Cortex-M4 runs the code of the Cortex-M7."""
    return peers.get(model_of(key), {}).get("cortex-m7" if core == "cortex-m4" else core, {})


def _speed(
    key: str, row: Mapping[str, Any], peers: Mapping[str, Any], targets: Mapping[str, Any]
) -> Iterator[str]:
    peer = peer_of(key, row["core"], peers)
    count, cmsis = row["instructions"], peer.get("tflm_cmsis_nn")
    yield label(key)
    yield row["core"]
    yield f"{count:,}"
    yield _goal(count, _target(key, row, targets).get("instructions"))
    yield f"{row['model_macs'] / count:.2f}"
    yield _int(cmsis)
    yield "-" if cmsis is None else f"{cmsis / count:.1f}x"
    yield _int(peer.get("tinyengine_fp"))
    yield "yes" if row["exact"] else "NO"


def _memory(
    key: str, row: Mapping[str, Any], peers: Mapping[str, Any], targets: Mapping[str, Any]
) -> Iterator[str]:
    peer = peers.get(model_of(key), {})
    goals = _target(key, row, targets)
    yield label(key)
    yield row["core"]
    for _, name, value_of in MEMORY:
        yield f"{value_of(row):,}"
        yield _goal(value_of(row), goals.get(name))
    yield f"{row['arena_bytes']:,}"
    yield _int(peer.get("tflm_ram_bytes"))
    yield _int(peer.get("tinyengine_ram_bytes"))


def _target(key: str, row: Mapping[str, Any], targets: Mapping[str, Any]) -> Mapping[str, Any]:
    goals: Mapping[str, Any] = targets.get(row["core"], {}).get(key.split("@")[0], {})
    return goals


def _goal(value: int, most: int | None) -> str:
    return "-" if most is None else f"{most:,} {'yes' if value <= most else 'NO'}"


def _int(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Text columns (model, core, exact) to the left, figures to the right."""
    names = head.split("|")
    marks = ["---" if name in ("model", "core", "exact") else "---:" for name in names]
    lines = [names, marks, *(list(row) for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]
