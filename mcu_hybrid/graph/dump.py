"""A graph as text, one line an operator: for people and for golden tests."""

from __future__ import annotations

from mcu_hybrid.graph.types import ABSENT, Graph, Tensor


def dump(graph: Graph) -> str:
    """Return inputs, operators with shapes and quantisation, outputs and notes."""
    lines = [f"graph {graph.name}"]
    lines += [f"  note: {note}" for note in graph.notes]
    lines += [f"  in  {_tensor(graph, i)}" for i in graph.inputs]
    for position, op in enumerate(graph.ops):
        inputs = ", ".join("-" if i == ABSENT else _tensor(graph, i) for i in op.inputs)
        outputs = ", ".join(_tensor(graph, i) for i in op.outputs)
        lines.append(f"  {position:3d} {op.kind}({inputs}) -> {outputs}  {op.attrs}")
    lines += [f"  out {_tensor(graph, i)}" for i in graph.outputs]
    return "\n".join(lines) + "\n"


def _tensor(graph: Graph, index: int) -> str:
    tensor = graph.tensor(index)
    shape = "x".join(str(extent) for extent in tensor.shape) or "scalar"
    constant = "const " if tensor.is_const else ""
    return f"%{index} {constant}{tensor.dtype}[{shape}]{_quant(tensor)}"


def _quant(tensor: Tensor) -> str:
    if tensor.quant is None:
        return ""
    if tensor.quant.per_channel:
        return f"*{len(tensor.quant.scales)} scales"
    return f"*{tensor.quant.scale:.6g}{tensor.quant.zero_point:+d}"
