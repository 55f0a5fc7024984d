"""Only ops/ names kinds of operators: everything else asks traits, or the operator itself."""

from __future__ import annotations

import ast
from pathlib import Path

import tflite

from mcu_hybrid import ops

PACKAGE = Path(ops.__file__).parent.parent
KINDS = {k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)} | set(
    ops.known()
)

# Files outside ops/ that hold a kind as a string, with the reason. The list only gets shorter.
REASONS = {
    "compiler/passes/fold_pad.py": "a note's word for what went away",
    "compiler/read/flatbuffer.py": "which option table of the schema belongs to which kind",
    "export/onnx_words.py": "what the converter makes of ONNX's operators, for refusals",
}


def test_kinds_are_named_in_ops_alone() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.is_relative_to(PACKAGE / "ops"):
            continue
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        named = {n.value for n in nodes if isinstance(n, ast.Constant) and n.value in KINDS}
        if named:
            found[str(path.relative_to(PACKAGE))] = sorted(named)
    new = {path: kinds for path, kinds in found.items() if path not in REASONS}
    assert not new, f"ask ops.traits(op), or <operator>.serves(op): {new}"
    assert set(found) == set(REASONS), "take the file from REASONS"


def test_traits_agree_with_each_other() -> None:
    for kind, own in ops.known().items():
        traits = own.traits
        assert own.kind == kind
        assert traits.pointwise or not traits.bytewise, kind
        assert not (traits.view and traits.moves), kind
        assert traits.in_files or traits.tflm is None, kind
        assert not traits.stateful, f"{kind}: nothing runs state yet"
        has = own.attrs.__dataclass_fields__
        assert not traits.clamps or "activation" in has, kind
        assert not traits.windowed or "window" in has, kind
