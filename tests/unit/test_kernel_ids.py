"""A kernel is a family's one C function and fields; nothing is read back from a name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcu_hybrid import resources
from mcu_hybrid.compiler.emit import ctext
from mcu_hybrid.ops.base import CStruct, CSymbol, KernelId

_FUNCTION = re.compile(r"^mh_status (mh_\w+)\(", re.MULTILINE)
_MADE_BY_MACRO = re.compile(r"mh_status\s+mh_\w*##")
# Rooms that choose kernels, price them, emit their calls and count them.
_ROOMS = ("mcu_hybrid/compiler", "mcu_hybrid/ops", "mcu_hybrid/engines", "mcu_hybrid/search")


def _sources(*endings: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(resources.kernels().rglob("*")):
        if path.suffix in endings:
            yield path, path.read_text("utf-8")


def test_a_family_is_one_function() -> None:
    headers = "".join(text for path, text in _sources(".h") if path.parent.name == "include")
    functions = Counter(_FUNCTION.findall(headers))
    assert max(functions.values()) == 1
    assert {
        "mh_gemm_s8",
        "mh_conv_band_s8",
        "mh_dw3_s8",
        "mh_dwk_s8",
        "mh_mve_depthwise_s8",
    } <= set(functions)


def test_no_macro_makes_public_functions() -> None:
    made = [path.name for path, text in _sources(".c", ".h") if _MADE_BY_MACRO.search(text)]
    assert not made


def test_nothing_reads_the_name_of_a_kernel(root: Path) -> None:
    """Neither a regular expression nor a part of a string: names are made, not read."""
    wrong = []
    for folder in _ROOMS:
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if _reads(node):
                    wrong.append(f"{path.relative_to(root)}:{node.lineno}")  # type: ignore[attr-defined]
    assert not wrong


def _reads(node: ast.AST) -> bool:
    """A pattern that begins like a kernel's function, or something done to ``.symbol``."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
        return "mh_" in ast.unparse(node)
    if isinstance(node, ast.Attribute | ast.Subscript):
        inner = node.value
        return isinstance(inner, ast.Attribute) and inner.attr in ("symbol", "family")
    if isinstance(node, ast.Compare) and any(isinstance(op, ast.In) for op in node.ops):
        found = node.comparators[0]
        return isinstance(found, ast.Attribute) and found.attr in ("symbol", "family")
    return False


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ('re.compile(r"mh_dw3s(\\d)")', True),
        ("call.kernel.symbol[2]", True),
        ('call.kernel.symbol.removeprefix("mh_")', True),
        ('"any" in call.kernel.symbol', True),
        ("TERMS[call.kernel.family]", False),
        ('call.kernel.form == "exact"', False),
    ],
)
def test_reading_a_name_is_found(code: str, wrong: bool) -> None:
    assert any(_reads(node) for node in ast.walk(ast.parse(code))) == wrong


def test_an_id_says_its_function_and_reads_well() -> None:
    small = KernelId("conv", form="line", shift=16, variant="small")
    assert (small.symbol, str(small)) == ("mh_conv_s8", "conv line16 small")
    packed = KernelId("dwk", (2, 0, 1), "slope", 8, "fixup")
    assert (packed.symbol, str(packed)) == ("mh_dwk_s8", "dwk 2x0x1 slope8 fixup")
    assert str(KernelId("lut")) == "lut"


def test_a_symbol_is_printed_as_its_address() -> None:
    params = CStruct("p", (("form.kronecker", CSymbol("mh_form_x", "x_s8")), ("size", 3)))
    text = ctext.struct_text(params, "op0", {})
    assert ".form.kronecker = &mh_form_x, .size = 3" in text
    with pytest.raises(ValueError, match="not a C identifier"):
        ctext.struct_text(CStruct("p", (("a", CSymbol("x; y", "x")),)), "op0", {})
