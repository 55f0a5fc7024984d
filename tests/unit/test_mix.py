"""The instruction mix without an emulator: classes, the Cortex-M4's cycles, logs, counting."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_hybrid.artifacts.bench import M4Cycles
from mcu_hybrid.artifacts.build import LayerRow
from mcu_hybrid.bench import thumb
from mcu_hybrid.bench.mix import count
from mcu_hybrid.errors import ToolError
from mcu_hybrid.machines.qemu_log import Log
from mcu_hybrid.machines.trace import Block, Trace

CALL, MODEL, KERNEL = 0x100, 0x200, 0x300
LAYER_NOW = 0x20000010
# As objdump prints it: a caller, mh_model_run with two layers, and a kernel with a loop.
LISTING = """
00000100 <mh_infer>:
     100:\tf000 f87e \tbl\t200 <mh_model_run>
     104:\t4770      \tbx\tlr

00000200 <mh_model_run>:
     200:\tb510      \tpush\t{r4, lr}
     202:\t4c06      \tldr\tr4, [pc, #24]\t@ (21c <mh_model_run+0x1c>)
     204:\t2000      \tmovs\tr0, #0
     206:\t8120      \tstrh\tr0, [r4, #8]
     208:\tf000 f87a \tbl\t300 <kernel>
     20c:\t2001      \tmovs\tr0, #1
     20e:\t8120      \tstrh\tr0, [r4, #8]
     210:\tf000 f876 \tbl\t300 <kernel>
     214:\t2002      \tmovs\tr0, #2
     216:\t8120      \tstrh\tr0, [r4, #8]
     218:\tbd10      \tpop\t{r4, pc}
     21a:\tbf00      \tnop
     21c:\t20000008 \t.word\t0x20000008

00000300 <kernel>:
     300:\t2103      \tmovs\tr1, #3
     302:\te890 000c \tldmia.w\tr0, {r2, r3}
     306:\tfb22 3302 \tsmlad\tr3, r2, r2, r3
     30a:\t3901      \tsubs\tr1, #1
     30c:\td1f9      \tbne.n\t302 <kernel+0x2>
     30e:\t4770      \tbx\tlr
"""
LAYERS = [LayerRow(name=name, op="CONV_2D", macs=0, out_bytes=0) for name in ("first", "second")]


def one(text: str) -> thumb.Instruction:
    """An instruction as objdump prints it: mnemonic, tab, operands."""
    return thumb.read_listing(f"     100:\tbf00      \t{text}\n")[0x100]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ldrsb.w\tr1, [r0, #1]!", "load"),
        ("ldr.w\tpc, [r0, r1, lsl #2]", "load"),
        ("ldrd\tr1, r2, [r0], #8", "load_multiple"),
        ("vpop\t{d8-d9}", "load_multiple"),
        ("strh.w\tr1, [r0, #2]", "store"),
        ("push\t{r3, r4, lr}", "store_multiple"),
        ("smladx\tr3, r2, r2, r3", "mac"),
        ("smlatb\tr3, r2, r2, r3", "mac"),
        ("smmlar\tr3, r2, r2, r3", "mac"),
        ("mls\tr3, r2, r2, r3", "mac"),
        ("smuad\tr3, r2, r2", "multiply"),
        ("muls\tr3, r2", "multiply"),
        ("smull\tr3, r2, r1, r0", "multiply"),
        ("udiv\tr3, r2, r1", "divide"),
        ("sxtb16\tr3, r2, ror #8", "dsp"),
        ("ssat\tr3, #8, r2, asr #4", "dsp"),
        ("uadd8\tr3, r2, r1", "dsp"),
        ("pkhbt\tr3, r2, r1, lsl #16", "dsp"),
        ("sxtb\tr3, r2", "alu"),
        ("subs\tr3, #1", "alu"),
        ("bics.w\tr3, r2, #1", "alu"),
        ("lsls\tr3, r2, #1", "alu"),
        ("bls.n\t100 <f>", "branch"),
        ("bl\t100 <f>", "branch"),
        ("cbnz\tr0, 100 <f>", "branch"),
        ("le\tlr, 100 <f>", "branch"),
        ("dls\tlr, r3", "system"),
        ("isb\tsy", "system"),
        ("vmov\ts1, r0", "fpu"),
        ("vmla.f32\ts0, s1, s2", "fpu"),
        ("vldr\ts0, [r0]", "load"),
        ("vldrb.u8\tq0, [r0], #16", "mve_load"),
        ("vld20.8\t{q0, q1}, [r0]", "mve_load"),
        ("vstrbt.8\tq0, [r0]", "mve_store"),
        ("vmlava.s8\tlr, q0, q1", "mve_mac"),
        ("vqrdmulh.s32\tq0, q1, r2", "mve_other"),
        ("vpst", "mve_other"),
        ("vctp.8\tr2", "mve_other"),
        ("vmsr\tp0, r2", "mve_other"),
    ],
)
def test_class_of_an_instruction(text: str, kind: str) -> None:
    assert one(text).kind == kind


@pytest.mark.parametrize(
    ("text", "registers"),
    [
        ("ldmia.w\tr0!, {r2, r3, sl, fp, ip, lr}", 6),
        ("push\t{r7}", 1),
        ("strd\tr2, r3, [sp, #8]", 2),
        ("vpush\t{d8-d11}", 8),
        ("vldmia\tr0!, {s16-s31}", 16),
        ("vpop\t{d8}", 2),
        ("smlad\tr3, r2, r2, r3", 0),
    ],
)
def test_registers_of_a_multiple(text: str, registers: int) -> None:
    assert one(text).registers == registers


def test_conditions_are_taken_off_in_conditional_blocks_only() -> None:
    lines = ["ite\tge", "movge\tr0, #1", "smladlt\tr0, r1, r2, r0", "movs\tr0, #1", "bge.n\t100"]
    listing = thumb.read_listing(
        "".join(f"     {2 * i:x}:\tbf00      \t{line}\n" for i, line in enumerate(lines))
    )
    assert [i.name for i in listing.values()] == ["it", "mov", "smlad", "movs", "bge"]


LOAD = one("ldr\tr1, [r0]")


@pytest.mark.parametrize(
    ("text", "before", "taken", "cycles"),
    [
        ("ldr\tr2, [r0]", None, False, (2, 2, 2)),
        ("ldr\tr2, [r0]", LOAD, False, (1, 1, 1)),
        ("ldr\tr2, [r1]", LOAD, False, (2, 2, 2)),  # needs what was loaded just before
        ("ldrb.w\tr2, [r0, r1]", LOAD, False, (2, 2, 2)),
        ("ldr\tr2, [r0]", one("str\tr1, [r0]"), False, (2, 2, 2)),
        ("str\tr2, [r0, #4]", None, False, (1, 1, 1)),
        ("str.w\tr2, [r0, r3, lsl #2]", None, False, (2, 2, 2)),
        ("str\tr1, [r0, r3]", LOAD, False, (1, 1, 1)),
        ("ldmia.w\tr0!, {r2, r3, r4}", LOAD, False, (4, 4, 4)),
        ("ldrd\tr2, r3, [r0]", None, False, (3, 3, 3)),
        ("push\t{r4, lr}", None, False, (3, 3, 3)),
        ("pop\t{r4, pc}", None, True, (4, 5, 6)),
        ("ldr.w\tpc, [r3, r0, lsl #2]", None, True, (3, 4, 5)),
        ("bne.n\t100", None, False, (1, 1, 1)),
        ("bne.n\t100", None, True, (2, 3, 4)),
        ("tbb\t[pc, r0]", None, True, (3, 4, 5)),
        ("udiv\tr0, r1, r2", None, False, (2, 7, 12)),
        ("mla\tr0, r1, r2, r0", None, False, (1, 1, 1)),
        ("smlad\tr0, r1, r2, r0", None, False, (1, 1, 1)),
        ("vldr\td0, [r0]", None, False, (3, 3, 3)),
        ("vmla.f32\ts0, s1, s2", None, False, (3, 3, 3)),
        ("vdiv.f32\ts0, s1, s2", None, False, (14, 14, 14)),
        ("it\tne", None, False, (0, 1, 1)),
    ],
)
def test_cycles_are_those_of_the_manual(
    text: str, before: thumb.Instruction | None, taken: bool, cycles: tuple[int, int, int]
) -> None:
    assert one(text).m4_cycles(before, taken) == cycles


def test_every_class_of_an_m4_has_a_price() -> None:
    """Branches and multiples are computed; Helium is not of an M4."""
    computed = {name for name in thumb.CLASSES if name.startswith(("branch_taken", "mve"))}
    computed |= {name for name in thumb.CLASSES if name.endswith("_multiple")}
    assert set(thumb.M4_CYCLES) == set(thumb.CLASSES) - computed


def test_stores_to_the_number_of_the_layer_are_found_by_their_address() -> None:
    listing = thumb.read_listing(LISTING)
    starts = {CALL, MODEL, KERNEL}
    assert thumb.literal_stores(listing, starts, LAYER_NOW) == {0x206, 0x20E, 0x216}
    assert thumb.literal_stores(listing, starts, LAYER_NOW + 2) == set()
    # A register that was written since no longer holds the base.
    overwritten = LISTING.replace("movs\tr0, #1", "movs\tr4, #1")
    found = thumb.literal_stores(thumb.read_listing(overwritten), starts, LAYER_NOW)
    assert found == {0x206}


def logged(*blocks: tuple[int, int]) -> Log:
    """A log that describes each block when it is met first, as QEMU does."""
    log = Log()
    for start, end in blocks:
        enter(log, start, end)
    return log


def enter(log: Log, start: int, end: int) -> None:
    """Blocks have a pointer of their own by start and end; the code is of two-byte units."""
    pointer = f"0x7f{start:06x}{end:06x}"
    if pointer.encode() not in log._of_pointer:
        log.feed(b"----------------\n")
        log.feed(b"IN: function\n")
        for address in range(start, end, 2):
            log.feed(f"0x{address:08x}:  bf00       nop      \n".encode())
        log.feed(b"\n")
    log.feed(f"Trace 0: {pointer} [00800400/{start:08x}/00000010/ff020200] f\n".encode())


BEFORE = (CALL, CALL + 4)
WHOLE_CALL = (
    (0x200, 0x20C),
    (0x300, 0x30E),
    (0x302, 0x30E),
    (0x302, 0x30E),
    (0x30E, 0x310),
    (0x20C, 0x214),
    (0x300, 0x30E),
    (0x302, 0x30E),
    (0x30E, 0x310),
    (0x214, 0x21A),
)


def test_the_last_call_is_cut_out_of_the_log() -> None:
    log = logged(BEFORE, (MODEL, 0x21A), (0x104, 0x106), BEFORE, *WHOLE_CALL, (0x104, 0x106))
    trace = log.call_of(MODEL)
    assert [trace.blocks[i] for i in trace.path] == [Block(*block) for block in WHOLE_CALL]
    assert trace.returned_to == 0x104


def test_blocks_that_did_not_run_are_taken_back() -> None:
    log = logged(BEFORE, (MODEL, 0x21A))
    log.feed(b"Stopped execution of TB chain before 0x7f00020000021a [00000200] mh_model_run\n")
    for block in ((MODEL, 0x204), (0x204, 0x21A), (0x104, 0x106)):
        enter(log, *block)
    trace = log.call_of(MODEL)
    assert [trace.blocks[i] for i in trace.path] == [Block(MODEL, 0x204), Block(0x204, 0x21A)]


def test_a_block_that_meets_a_peripheral_ran_up_to_there() -> None:
    log = logged(BEFORE, (MODEL, 0x21A))
    log.feed(b"cpu_io_recompile: rewound execution of TB to 00000206\n")
    for block in ((0x206, 0x208), (0x208, 0x21A), (0x104, 0x106)):
        enter(log, *block)
    ran = [log.blocks[i] for i in log.call_of(MODEL).path]
    assert ran == [Block(MODEL, 0x206), Block(0x206, 0x208), Block(0x208, 0x21A)]


@pytest.mark.parametrize(
    "line",
    [
        b"Trace 0: into the dark\n",
        b"Stopped execution for reasons of its own\n",
        b"cpu_io_recompile: nowhere\n",
        b"0x00000100  without a colon\n",
    ],
)
def test_a_log_that_is_not_understood_is_an_error(line: bytes) -> None:
    with pytest.raises(ToolError, match="not understood") as raised:
        Log().feed(line)
    assert "--no-mix" in raised.value.hint


# What ran when the log was switched on was translated, and perhaps entered, before: only its end is
# logged. The first of them was met on a busy machine.
UNDER_WAY = (
    b"Stopped execution of TB chain before 0x7f4420026980 [00002bea] mh_port_write\n",
    b"cpu_io_recompile: rewound execution of TB to 00002bea\n",
    b"Trace 0: 0x7f123 [00800400/00002bea/00000010/ff020200] mh_port_write\n",
)


@pytest.mark.parametrize("line", UNDER_WAY)
def test_what_was_under_way_before_the_log_is_left_out(line: bytes) -> None:
    log = Log()
    log.feed(line)
    for block in (BEFORE, *WHOLE_CALL, (0x104, 0x106)):
        enter(log, *block)
    trace = log.call_of(MODEL)
    assert [trace.blocks[i] for i in trace.path] == [Block(*block) for block in WHOLE_CALL]


@pytest.mark.parametrize("line", UNDER_WAY[::2])
@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_call_with_a_gap_is_not_counted(before: int, line: bytes) -> None:
    log = logged(BEFORE, *WHOLE_CALL[:before])
    log.feed(line)
    for block in (*WHOLE_CALL[before:], (0x104, 0x106)):
        enter(log, *block)
    with pytest.raises(ToolError, match="no whole call"):
        log.call_of(MODEL)


def test_a_function_that_was_not_called_is_an_error() -> None:
    for log in (logged(), logged(BEFORE, (0x104, 0x106)), logged(BEFORE, (MODEL, 0x21A))):
        with pytest.raises(ToolError, match="no whole call of the code at 0x00000200"):
            log.call_of(MODEL)


def whole_trace() -> Trace:
    return logged(BEFORE, *WHOLE_CALL, (0x104, 0x106)).call_of(MODEL)


def test_counts_along_the_path() -> None:
    """The kernel's loop turns three times in the first layer, twice in the second."""
    stores = {0x206, 0x20E, 0x216}
    mix = count(whole_trace(), thumb.read_listing(LISTING), LAYERS, stores, on_m4=True)
    present = {name: number for name, number in mix.total.classes.items() if number}
    assert present == {
        "load": 1,  # the literal
        "load_multiple": 5 + 1,
        "store": 3,
        "store_multiple": 1,
        "mac": 5,
        "alu": 3 + 2 + 5,
        "branch_taken": 2 + 3 + 2,
        "branch_not_taken": 2,
    }
    assert mix.total.registers == {"load_multiple": 5 * 2 + 2, "store_multiple": 2}
    assert mix.total.instructions == sum(present.values())
    # push 3, literal 2, stores 3, ldm 5 x 3, mac 5, alu 10, pop 3, branches 9; P for 8 of them
    cycles = mix.total.m4_cycles
    assert cycles == M4Cycles(low=50 + 8, estimate=50 + 16, high=50 + 24)


def test_layers_begin_at_their_store_and_add_up() -> None:
    stores = {0x206, 0x20E, 0x216}
    mix = count(whole_trace(), thumb.read_listing(LISTING), LAYERS, stores, on_m4=True)
    assert mix.layers is not None
    first, second = mix.layers
    assert (first.name, second.name) == ("first", "second")
    assert (first.mix.classes["mac"], second.mix.classes["mac"]) == (3, 2)
    # The first has the prologue, the second the end: number, store and return.
    assert first.mix.instructions == 3 + 2 + 1 + 3 * 4 + 1 + 1
    assert second.mix.instructions == 2 + 1 + 2 * 4 + 1 + 3
    for name in thumb.CLASSES:
        assert first.mix.classes[name] + second.mix.classes[name] == mix.total.classes[name]
    for bound in thumb.Cycles._fields:
        one, two, both = (
            getattr(found.m4_cycles, bound) for found in (first.mix, second.mix, mix.total)
        )
        assert one + two == both


def test_no_layers_where_their_stores_do_not_fit() -> None:
    listing = thumb.read_listing(LISTING)
    assert count(whole_trace(), listing, LAYERS, set(), on_m4=False).layers is None
    assert count(whole_trace(), listing, LAYERS[:1] * 4, {0x206}, on_m4=False).layers is None


def test_code_outside_the_elf_is_an_error() -> None:
    trace = Trace((Block(0x900, 0x904),), np.zeros(1, np.int32), 0x904)
    with pytest.raises(ToolError, match="0x00000900, which its ELF does not have"):
        count(trace, thumb.read_listing(LISTING), LAYERS, set(), on_m4=True)
