"""A full-integer int8 .tflite becomes a verified Graph; everything else becomes one clear error.

Here: which models we take, and the float edges that are taken off. Not here: the bytes of the
format (flatbuffer.py) and what each operator's options mean (ops/).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcu_hybrid import ops
from mcu_hybrid.compiler.read import flatbuffer
from mcu_hybrid.compiler.read.float_edges import Edges, take_off_edges
from mcu_hybrid.compiler.read.float_islands import islands_to_tables, table_positions
from mcu_hybrid.compiler.read.input_shapes import (
    require_fixed_inputs,
    require_fixed_views,
    signature,
    with_input_shapes,
)
from mcu_hybrid.compiler.read.model_kind import (
    refuse_subgraphs,
    require_full_integer,
    require_no_variables,
    require_own_layers,
)
from mcu_hybrid.compiler.read.shape_ops import fold_shapes
from mcu_hybrid.errors import InputError, ModelError, UnsupportedOp
from mcu_hybrid.graph.types import ABSENT, Graph, Op
from mcu_hybrid.ops import float_functions, shape_values
from mcu_hybrid.ops.base import RawOp
from mcu_hybrid.ops.file_kinds import CUSTOM
from mcu_hybrid.ops.quantize import DEQUANTIZE
from mcu_hybrid.reference.verify import verify
from mcu_hybrid.tflite_file import builtin_code

_OPCODES = {
    code: kind
    for kind, code in vars(flatbuffer.tflite.BuiltinOperator).items()
    if isinstance(code, int)
}


@dataclass(frozen=True)
class ModelFile:
    """What a .tflite holds; ``metadata`` is our own JSON entry, None where the file has none."""

    graph: Graph
    sha256: str
    metadata: dict[str, Any] | None


def read_tflite(data: bytes, name: str) -> ModelFile:
    """Read an int8 .tflite; ``name`` is the file's name for messages and the graph.

    Raises ModelError where it is no .tflite, damaged, or not full-integer int8 with batch 1, and
    UnsupportedOp where an operator or option is not supported.
    """
    with flatbuffer.guarded(name):
        model = flatbuffer.open_model(data, name)
        try:
            with np.errstate(all="ignore"):  # of absurd scales; what comes of them is checked
                graph = _read_graph(model, name, len(data))
                verify(graph)
        except ModelError as error:
            if error.path is not None:
                raise
            raise type(error)(error.message, error.hint, path=name) from error
        metadata = flatbuffer.read_metadata(model, name)
    return ModelFile(graph, hashlib.sha256(data).hexdigest(), metadata)


def fix_input_shapes(data: bytes, name: str, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The file with these input shapes, by the input's name ("": the only one), and what follows.

    Raises:
        InputError: a shape is none of this model's inputs.
        ModelError: the file is damaged, or a shape in it does not follow.
    """
    with flatbuffer.guarded(name):
        model = flatbuffer.open_model(data, name)
        try:
            edges, raw_tensors = _read_edges(model, len(data))
            return with_input_shapes(data, edges, raw_tensors, shapes)
        except InputError as error:
            raise type(error)(error.message, error.hint, path=name) from error


def float_operators_taken(data: bytes, name: str) -> set[int]:
    """Places of the float operators that would run as tables; empty for a file that is damaged."""
    try:
        with flatbuffer.guarded(name):
            return table_positions(_read_edges(flatbuffer.open_model(data, name), len(data))[0])
    except ModelError:
        return set()


def _read_edges(model: Any, size: int) -> tuple[Edges, list[Any]]:
    """The graph as it stands in the file, and the schema's tensors."""
    if model.SubgraphsLength() != 1:
        refuse_subgraphs(model.SubgraphsLength(), _all_kinds(model, size))
    raw_graph = model.Subgraphs(0)
    if max(raw_graph.TensorsLength(), raw_graph.OperatorsLength()) > size:
        raise ModelError("lists more entries than it has bytes", flatbuffer.DAMAGED_HINT)
    raw_tensors = [raw_graph.Tensors(i) for i in range(raw_graph.TensorsLength())]
    tensors = tuple(
        flatbuffer.read_tensor(model, raw, i, size) for i, raw in enumerate(raw_tensors)
    )
    raw_ops = [
        _raw_op(model, raw_graph.Operators(i), tensors, i)
        for i in range(raw_graph.OperatorsLength())
    ]
    inputs = tuple(raw_graph.Inputs(i) for i in range(raw_graph.InputsLength()))
    outputs = tuple(raw_graph.Outputs(i) for i in range(raw_graph.OutputsLength()))
    _require_indices(tensors, raw_ops, inputs, outputs)
    return Edges(tensors, tuple(raw_ops), inputs, outputs), raw_tensors


def _read_graph(model: Any, name: str, size: int) -> Graph:
    edges, raw_tensors = _read_edges(model, size)
    require_own_layers(edges)
    require_no_variables(edges)
    signatures = [signature(raw) for raw in raw_tensors]
    require_fixed_inputs(edges, signatures)
    edges = fold_shapes(edges)
    require_fixed_views(edges, signatures)
    edges = islands_to_tables(take_off_edges(edges))
    require_full_integer(edges)
    _require_work(edges)
    _require_supported(edges.ops)
    _require_batch_one(edges)
    typed = tuple(_typed(raw) for raw in edges.ops)
    return Graph(name, edges.tensors, typed, edges.inputs, edges.outputs, edges.notes)


def _all_kinds(model: Any, size: int) -> list[str]:
    """Kinds of all operators of all subgraphs."""
    graphs = [model.Subgraphs(i) for i in range(min(model.SubgraphsLength(), size))]
    count = sum(graph.OperatorsLength() for graph in graphs)
    if count > size:
        raise ModelError("lists more entries than it has bytes", flatbuffer.DAMAGED_HINT)
    ops_of = ((g, i) for g in graphs for i in range(g.OperatorsLength()))
    return [_kind(model, graph.Operators(i)) for graph, i in ops_of]


def _kind(model: Any, raw: Any) -> str:
    code = model.OperatorCodes(raw.OpcodeIndex())
    number = builtin_code(code)
    kind = _OPCODES.get(number, f"number {number} of a newer schema")
    if kind == CUSTOM:
        kind = f"{CUSTOM}:{flatbuffer.text(code.CustomCode(), 'unnamed')}"
    return kind


def _raw_op(model: Any, raw: Any, tensors: tuple[Any, ...], position: int) -> RawOp:
    kind = _kind(model, raw)
    inputs = tuple(raw.Inputs(i) for i in range(raw.InputsLength()))
    outputs = tuple(raw.Outputs(i) for i in range(raw.OutputsLength()))
    layer = tensors[outputs[0]].name if outputs else kind.lower()
    options = _options(raw, kind, layer)
    return RawOp(kind, layer, inputs, outputs, options, tensors, position)


def _options(raw: Any, kind: str, layer: str) -> dict[str, Any]:
    """The options of an operator that we run, or take off; of others nobody reads them."""
    read = {DEQUANTIZE, *shape_values.READ, *float_functions.READ}
    if kind not in ops.known() and kind not in read:
        return {}
    try:
        return flatbuffer.read_options(raw, kind)
    except ModelError as error:
        key = f"{kind} '{layer}'"
        raise ModelError(error.message, flatbuffer.DAMAGED_HINT, key=key) from error


def _require_indices(
    tensors: tuple[Any, ...],
    raw_ops: list[RawOp],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
) -> None:
    named = [i for op in raw_ops for i in (*op.inputs, *op.outputs) if i != ABSENT]
    if any(not 0 <= i < len(tensors) for i in (*named, *inputs, *outputs)):
        raise ModelError("names a tensor that it does not hold", flatbuffer.DAMAGED_HINT)
    if not raw_ops or not inputs or not outputs:
        raise ModelError(
            f"has {len(raw_ops)} operators, {len(inputs)} inputs and {len(outputs)} outputs",
            "export a model that computes something from an input",
        )


def _require_work(edges: Edges) -> None:
    """What is left without its edges computes something."""
    if not edges.ops or set(edges.outputs) <= set(edges.inputs):
        raise ModelError(
            "computes nothing: its outputs are its inputs, converted at most",
            "export a model that computes something from an input",
        )


def _require_supported(raw_ops: tuple[RawOp, ...]) -> None:
    """Name every operator that is missing at once, so that the user mends the network once."""
    missing = [op for op in raw_ops if op.kind not in ops.known()]
    if not missing:
        return
    others = sorted({op.kind for op in missing[1:]} - {missing[0].kind})
    more = f"; also not supported in this model: {', '.join(others)}" if others else ""
    raise UnsupportedOp(
        f"operator {missing[0].position} {missing[0].kind} (layer '{missing[0].name}') is not "
        f"supported{more}",
        "replace it in the network and export again; supported: " + ", ".join(supported_kinds()),
    )


def supported_kinds() -> list[str]:
    """The operators that a file may have; some of ours are none of TFLite's."""
    return sorted(
        {*(kind for kind in ops.known() if kind in _OPCODES.values()), *float_functions.INT8}
    )


def _require_batch_one(edges: Edges) -> None:
    for index in edges.inputs:
        tensor = edges.tensors[index]
        if min(tensor.shape, default=1) < 1 or (len(tensor.shape) > 1 and tensor.shape[0] != 1):
            raise ModelError(
                f"input '{tensor.name}' has shape {list(tensor.shape)}; the device runs one input "
                "at a time, with fixed dimensions",
                "export with batch 1 and without dynamic dimensions",
            )


def _typed(raw: RawOp) -> Op:
    attrs = ops.operator(raw.kind).read(raw)
    return Op(raw.kind, raw.name, raw.inputs, raw.outputs, attrs)
