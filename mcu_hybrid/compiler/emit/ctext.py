"""C text of tables and parameter structs: knows C syntax, nothing of graphs or memory plans."""

from __future__ import annotations

import re

import numpy as np

from mcu_hybrid.ops.base import CStruct, CSymbol, CTable

WEIGHTS_SECTION = ".rodata.mh_weights"
WIDTH = 100
_RANGES = {
    "int8_t": (-(1 << 7), (1 << 7) - 1),
    "uint8_t": (0, (1 << 8) - 1),
    "int16_t": (-(1 << 15), (1 << 15) - 1),
    "uint16_t": (0, (1 << 16) - 1),
    "int32_t": (-(1 << 31), (1 << 31) - 1),
    "uint32_t": (0, (1 << 32) - 1),
}
_APART = re.compile(r"(\*(?=/)|/(?=\*)|\?(?=\?))")  # marks that must not meet inside a comment
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def identifier(name: str) -> str:
    """Return ``name`` unchanged; raises ValueError where it is no C identifier."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"'{name}' is not a C identifier")
    return name


def comment(text: str, limit: int = 60) -> str:
    """Make any text safe inside a C comment: one short line, ASCII, no comment marks."""
    ascii_text = text.encode("ascii", "backslashreplace").decode("ascii")
    one_line = " ".join(ascii_text.split())
    one_line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in one_line)
    if len(one_line) > limit:  # converters join the names of all that they fused
        one_line = one_line[: limit - 3] + "..."
    # "?" followed by "?" could begin a trigraph, which -Wall reports; a backslash at the end would
    # take the next line in.
    apart = _APART.sub(r"\1 ", one_line)
    return f"{apart} " if apart.endswith("\\") else apart


def number(value: int, ctype: str = "int32_t") -> str:
    """A C integer constant; INT32_MIN, which has no literal of type int, by its name."""
    low, high = _RANGES[ctype]
    if not low <= value <= high:
        raise ValueError(f"{value} does not fit {ctype}")
    if value == -(1 << 31):
        return "INT32_MIN"
    return f"{value}u" if ctype == "uint32_t" and value > (1 << 31) - 1 else str(value)


def lines(cells: list[str], indent: int = 4) -> str:
    """Cells joined with commas and wrapped at ``WIDTH`` columns."""
    out, row = [], ""
    for n, cell in enumerate(cells):
        piece = cell if n == len(cells) - 1 else cell + ","
        if row and indent + len(row) + 1 + len(piece) > WIDTH:
            out.append(row)
            row = piece
        else:
            row = f"{row} {piece}" if row else piece
    out.append(row)
    return "\n".join(" " * indent + line for line in out)


def table_text(table: CTable, name: str, *, section: str | None = WEIGHTS_SECTION) -> str:
    """``static const`` definition of a table under this name, in ``section`` where one is given."""
    identifier(name)
    values = np.asarray(table.data).ravel()
    if values.size == 0:
        raise ValueError(f"table '{name}' is empty")
    attribute = f' __attribute__((section("{section}"), aligned(4)))' if section else ""
    head = f"static const {table.ctype} {name}[{values.size}]{attribute} = {{"
    return f"{head}\n{lines(_cells(values, table.ctype))}\n}};"


def struct_text(struct: CStruct, name: str, tables: dict[str, str]) -> str:
    """``static const`` definition of a params struct with designated initialisers.

    Args:
        tables: C name of each table, by ``CTable.name``.
    """
    cells = []
    for field, value in struct.fields:
        if value is None:
            text = "NULL"
        elif isinstance(value, CTable):
            text = tables[value.name]
        elif isinstance(value, CSymbol):
            text = f"&{identifier(value.name)}"
        else:
            text = number(int(value), "uint32_t" if value > (1 << 31) - 1 else "int32_t")
        # "form.kronecker" is a member of a union
        cells.append(f".{'.'.join(map(identifier, field.split('.')))} = {text}")
    return f"static const {struct.ctype} {identifier(name)} = {{\n{lines(cells)}\n}};"


def struct_tables(struct: CStruct) -> tuple[CTable, ...]:
    """The tables that a struct's fields point to, each once, in order."""
    found = {value.name: value for _, value in struct.fields if isinstance(value, CTable)}
    return tuple(found.values())


def _cells(values: np.ndarray, ctype: str) -> list[str]:
    if ctype not in _RANGES:
        raise ValueError(f"no C table of type '{ctype}'")
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"a table of {ctype} needs integers, not {values.dtype}")
    return [number(int(value), ctype) for value in values]
