"""C text of a stream: one function of calls and moves; steps that repeat become a loop.

Steps repeat where they call the same functions with the same parameters and every address goes on
by the same number of bytes. Names of tables and parameters come from the emitter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mcu_hybrid.compiler.schedule.call import Act, Acts, KernelAct, MoveAct, Place
from mcu_hybrid.ops.base import KernelCall

NameOf = Callable[[KernelCall], str]
AddressOf = Callable[[Place], tuple[str, int]]  # base and byte offset


@dataclass(frozen=True)
class Line:
    """One call of a step: C text with a gap per address; the addresses as (base, offset)."""

    head: str
    addresses: tuple[tuple[str, int], ...]
    tail: str
    is_checked: bool

    def like(self, other: Line) -> bool:
        """True where only offsets differ."""
        bases = tuple(base for base, _ in self.addresses)
        same = bases == tuple(base for base, _ in other.addresses)
        return same and (self.head, self.tail) == (other.head, other.tail)


@dataclass(frozen=True)
class Block:
    """``count`` equal steps; ``strides``: bytes that each address goes on by, per line."""

    lines: tuple[Line, ...]
    strides: tuple[tuple[int, ...], ...]
    count: int


def stream_text(name: str, steps: Sequence[Acts], name_of: NameOf, address: AddressOf) -> str:
    """The definition of ``static mh_status name(void)``."""
    rows = [tuple(_line(act, name_of, address) for act in acts) for acts in steps]
    out = [f"static mh_status {name}(void)", "{", "    mh_status status;", ""]
    for block in blocks(rows):
        out += list(_block(block))
    return "\n".join([*out, "    return MH_OK;", "}"])


def blocks(steps: Sequence[tuple[Line, ...]]) -> Iterator[Block]:
    """Group steps that repeat, in order."""
    at = 0
    while at < len(steps):
        count = 1
        strides = tuple(tuple(0 for _ in line.addresses) for line in steps[at])
        if at + 1 < len(steps) and _alike(steps[at], steps[at + 1]):
            strides = _strides(steps[at], steps[at + 1])
            while (
                at + count < len(steps)
                and _alike(steps[at], steps[at + count])
                and _strides(steps[at + count - 1], steps[at + count]) == strides
            ):
                count += 1
        yield Block(steps[at], strides, count)
        at += count


def _alike(a: tuple[Line, ...], b: tuple[Line, ...]) -> bool:
    return len(a) == len(b) and all(x.like(y) for x, y in zip(a, b, strict=True))


def _strides(a: tuple[Line, ...], b: tuple[Line, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(q[1] - p[1] for p, q in zip(x.addresses, y.addresses, strict=True))
        for x, y in zip(a, b, strict=True)
    )


def _line(act: Act, name_of: NameOf, address: AddressOf) -> Line:
    if isinstance(act, MoveAct):
        places = (Place(None, act.target), Place(None, act.source))
        return Line("mh_rows_s8(", tuple(map(address, places)), f", {act.bytes})", False)
    return _kernel_line(act, name_of, address)


def _kernel_line(act: KernelAct, name_of: NameOf, address: AddressOf) -> Line:
    if act.call.form not in ("unary", "binary"):
        raise ValueError(f"{act.call.kernel.symbol} of form {act.call.form} cannot be streamed")
    addresses = [address(place) for place in act.places]
    if act.scratch is not None:
        addresses.append(address(act.scratch))
    tail = ")" if act.scratch is not None else ", NULL)"
    return Line(f"{act.call.kernel.symbol}(&{name_of(act.call)}, ", tuple(addresses), tail, True)


def _block(block: Block) -> Iterator[str]:
    indent = "    "
    if block.count > 1:
        yield f"    for (int32_t i = 0; i < {block.count}; i++) {{"
        indent = "        "
    for line, strides in zip(block.lines, block.strides, strict=True):
        places = zip(line.addresses, strides, strict=True)
        arguments = ", ".join(_address(base, offset, stride) for (base, offset), stride in places)
        text = f"{line.head}{arguments}{line.tail};"
        if line.is_checked:
            yield f"{indent}status = {text}"
            yield f"{indent}if (status != MH_OK) {{"
            yield f"{indent}    return status;"
            yield f"{indent}}}"
        else:
            yield f"{indent}{text}"
    if block.count > 1:
        yield "    }"


def _address(base: str, offset: int, stride: int) -> str:
    moving = f" + i * {stride}" if stride > 0 else f" - i * {-stride}" if stride else ""
    return f"{base}{f' + {offset}' if offset else ''}{moving}"
