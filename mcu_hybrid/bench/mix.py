"""The instruction mix: what one inference executes, by class, and its cycles by the M4's table.

Counted along the path that QEMU logged (``machines/trace.py``); classes and cycles of an
instruction are in ``thumb.py``. An instruction in a conditional block counts whether its condition
held or not, as QEMU's own count does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mcu_hybrid.artifacts.bench import LayerMix, M4Cycles, Mix, ModelMix
from mcu_hybrid.artifacts.build import LayerRow
from mcu_hybrid.bench import thumb
from mcu_hybrid.bench.thumb import CLASSES, Cycles, Instruction
from mcu_hybrid.board.load import Board
from mcu_hybrid.device.client import Device
from mcu_hybrid.device.inference import Inference
from mcu_hybrid.errors import BoardError, ToolError
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.machines import Machine, named, names, tracer_of
from mcu_hybrid.machines.trace import Block, Trace
from mcu_hybrid.process import Tools

MODEL_FUNCTION = "mh_model_run"
LAYER_VARIABLE = "mh_layer_now"
# The firmware's clock sees the call itself too, and reads in steps of up to ten instructions.
OVERHEAD_INSTRUCTIONS = 40
# A traced board is a hundred times slower; asking again would be counted too. Both are the usual
# ones (6 s, 0.25 s) some 20 and 80 times over.
_BUDGET_S, _PATIENCE_S = 120.0, 20.0
M4_BASIS = "instruction table of the Cortex-M4 TRM, no wait states (docs/engine.md has the model)"
_MULTIPLE = tuple(name for name in CLASSES if name.endswith("_multiple"))
_COLUMNS = (*CLASSES, *_MULTIPLE, *Cycles._fields)


def measure(
    board: Board,
    image: FirmwareImage,
    layers: Sequence[LayerRow],
    infer: Callable[[Device, Callable[[], None] | None], Inference],
    tools: Tools,
) -> ModelMix:
    """Trace an inference on a machine of its own.

    Args:
        layers: in the order in which they run.
        infer: runs one inference, and calls the function that it is handed just before it runs.

    Raises:
        BoardError: no machine that can tell runs this board.
        ToolError: QEMU's log cannot be read, or does not agree with the firmware's clock.
    """
    listing = thumb.disassemble(image.elf, board.core.prefix, tools)
    entry = image.symbols[MODEL_FUNCTION][0] & ~1
    with (
        require(board).traced(board, image.elf, tools, image.build_id) as virtual,
        Device.open(
            virtual.url, build_id=image.build_id, budget_s=_BUDGET_S, patience_s=_PATIENCE_S
        ) as device,
    ):
        device.is_watched = False  # its interrupts would be counted
        infer(device, None)  # the second inference is the one that bench reports
        result, trace = virtual.record(entry, lambda log_on: infer(device, log_on))
    mix = count(trace, listing, layers, _layer_stores(image, listing), runs_on_m4(board))
    if abs(mix.total.instructions - result.instructions) > OVERHEAD_INSTRUCTIONS:
        raise ToolError(
            f"QEMU's log holds {mix.total.instructions:,} instructions of an inference in which "
            f"the firmware counted {result.instructions:,}",
            "measure without it: --no-mix (and report the version of qemu-system-arm)",
        )
    return replace(mix, counted=result.instructions)


def require(board: Board) -> Machine:
    """What traces this board's firmware; BoardError where its mix cannot be counted."""
    machine = tracer_of(board)
    if machine is None:
        tracers = [m.title for m in map(named, names()) if m.capabilities.trace]
        raise BoardError(
            f"{board.name} is no board that {' or '.join(tracers)} runs: "
            "its instructions cannot be told apart",
            "take a virtual board of the same core: mcu-hybrid boards",
        )
    return machine


def runs_on_m4(board: Board) -> bool:
    """True where the board is a Cortex-M4: only there do cycles by its table mean anything."""
    return board.core.name.startswith("cortex-m4")


def count(
    trace: Trace,
    listing: Mapping[int, Instruction],
    layers: Sequence[LayerRow],
    layer_stores: set[int],
    on_m4: bool,
) -> ModelMix:
    """Count along a trace.

    Args:
        layers: in the order in which they run.
        layer_stores: addresses of the instructions that write the number of the layer.
        on_m4: price the instructions with the M4's table.
    """
    blocks = [_code_of(block, listing) for block in trace.blocks]
    taken = ~trace.falls_through()
    weights = np.array([_rows_of(code, on_m4) for code in blocks])  # [block, taken, column]
    keys = 2 * trace.path.astype(np.int64) + taken
    rows = weights.reshape(-1, len(_COLUMNS))

    def between(begin: int, end: int) -> np.ndarray:
        times = np.bincount(keys[begin:end], minlength=len(rows))
        total: np.ndarray = times @ rows
        return total

    marks = _marks(trace, blocks, layer_stores, on_m4)
    per_layer = None
    # One store per layer and one at the end; an engine that counts up stores once more.
    if len(layers) > 0 and len(marks) - len(layers) in (1, 2):
        per_layer = tuple(_layer_mixes(layers, marks[: len(layers)], between, on_m4, len(keys)))
    total = _mix(between(0, len(keys)), on_m4)
    return ModelMix(total, total.instructions, M4_BASIS if on_m4 else None, per_layer)


def _layer_mixes(
    layers: Sequence[LayerRow],
    marks: Sequence[tuple[int, np.ndarray]],
    between: Callable[[int, int], np.ndarray],
    on_m4: bool,
    end: int,
) -> list[LayerMix]:
    """A layer begins at its store, inside a block; the first has what comes before it too."""
    nothing = np.zeros(len(_COLUMNS))
    begins = [(0, nothing), *marks[1:], (end, nothing)]
    return [
        LayerMix(row.name, row.op, _mix(between(at, to) - before + behind, on_m4))
        for row, (at, before), (to, behind) in zip(layers, begins[:-1], begins[1:], strict=True)
    ]


def _marks(
    trace: Trace, blocks: Sequence[list[Instruction]], stores: set[int], on_m4: bool
) -> list[tuple[int, np.ndarray]]:
    """(index in the path, sum of the block's instructions before the store) per store that ran."""
    inside = {
        number: code[:place]
        for number, code in enumerate(blocks)
        for place, instruction in enumerate(code)
        if instruction.address in stores
    }
    (found,) = np.nonzero(np.isin(trace.path, list(inside)))
    return [(int(i), _rows_of(inside[int(trace.path[i])], on_m4)[0]) for i in found]


def _layer_stores(image: FirmwareImage, listing: Mapping[int, Instruction]) -> set[int]:
    address, size = image.symbols.get(LAYER_VARIABLE, (0, 0))
    functions = {start & ~1 for start, _ in image.symbols.values()}
    return thumb.literal_stores(listing, functions, address) if size else set()


def _code_of(block: Block, listing: Mapping[int, Instruction]) -> list[Instruction]:
    code = []
    address = block.start
    while address < block.end:
        instruction = listing.get(address)
        if instruction is None:
            raise ToolError(
                f"the board ran code at 0x{address:08x}, which its ELF does not have",
                "build again; --no-mix measures without the instruction mix",
            )
        code.append(instruction)
        address += instruction.size
    return code


def _rows_of(code: Sequence[Instruction], on_m4: bool) -> np.ndarray:
    """What a block counts, where its end is not taken and where it is [2, columns]."""
    rows = np.zeros((2, len(_COLUMNS)))
    before = None
    for instruction in code:
        for taken in (False, True):
            leaves = taken and instruction is code[-1]
            kind = instruction.kind
            if kind == "branch":
                kind = "branch_taken" if leaves else "branch_not_taken"
            row = rows[int(taken)]
            row[_COLUMNS.index(kind)] += 1
            if kind in _MULTIPLE:
                row[len(CLASSES) + _MULTIPLE.index(kind)] += instruction.registers
            if on_m4:
                row[-len(Cycles._fields) :] += instruction.m4_cycles(before, leaves)
        before = instruction
    return rows


def _mix(row: np.ndarray, on_m4: bool) -> Mix:
    values = [round(float(value)) for value in row]
    classes = dict(zip(CLASSES, values, strict=False))
    registers = dict(zip(_MULTIPLE, values[len(CLASSES) :], strict=False))
    cycles = M4Cycles(*values[-len(Cycles._fields) :])
    return Mix(sum(classes.values()), classes, registers, cycles if on_m4 else None)
