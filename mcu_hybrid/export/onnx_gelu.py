"""GELU as exporters write it, in four to nine operators, becomes one that int8 has a table for.

x * (1 + erf(x / sqrt 2)) / 2 has no int8 form as it stands (Erf); the tanh form has one, of eight
roundings. Both become ONNX's Gelu where the engine runs GELU; else the graph stays as it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mcu_hybrid.export.onnx_edit import constants, copy_of, is_output, readers

_CLOSE = 1e-3  # exporters write the constants of GELU with three digits or more
_SINCE = 20  # the opset with Gelu


def fuse(model: Any) -> tuple[Any, list[str]]:
    """Fuse every GELU; returns the model and the names of the layers (their last nodes).

    The model is another one then, of the first opset that has Gelu.
    """
    if not any(n.op_type in ("Erf", "Tanh") for n in model.graph.node):
        return model, []
    newer = _newer(model)
    if newer is None:
        return model, []
    found = []
    for node in [n for n in newer.graph.node if n.op_type in ("Erf", "Tanh")]:
        match = _match(newer, node)
        if match is not None:
            _replace(newer, *match, approximate="none" if node.op_type == "Erf" else "tanh")
            found.append(match[1])
    return (newer, found) if found else (model, [])


def _newer(model: Any) -> Any:
    """The model in an opset with Gelu; None where onnx cannot put it there."""
    from onnx import version_converter

    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    if opset >= _SINCE:
        return copy_of(model)
    try:
        return version_converter.convert_version(model, _SINCE)
    except Exception:  # C++ errors of many kinds; the graph then stays as it is
        return None


def _match(model: Any, node: Any) -> tuple[str, str] | None:
    """(x, output) of the GELU around an Erf or Tanh, judged by its values; None for others."""
    plus = _only_reader(model, node.output[0])
    if plus is None or plus.op_type != "Add":
        return None
    names = {node.output[0]: node, plus.output[0]: plus}
    last, grown = plus, True
    while grown:  # the products behind: with x, with 0.5, in any order
        behind = _only_reader(model, last.output[0])
        grown = behind is not None and behind.op_type == "Mul"
        if grown:
            last = behind
            names[last.output[0]] = last
        for x in _candidates(model, node):
            if _is_gelu(model, x, last.output[0], node.op_type):
                return x, last.output[0]
        if not grown or len(names) > 6:
            break
    return None


def _only_reader(model: Any, name: str) -> Any:
    found = readers(model, name)
    return found[0] if len(found) == 1 and not is_output(model, name) else None


def _candidates(model: Any, node: Any) -> list[str]:
    """Tensors up to six operators ahead that may be x."""
    known, found, edge = constants(model), [], [node.input[0]]
    for _ in range(6):
        ahead = []
        for name in edge:
            writer = next((n for n in model.graph.node if name in n.output), None)
            if writer is None or writer.op_type not in ("Mul", "Div", "Add", "Pow"):
                found.append(name)
                continue
            found.append(name)
            ahead += [i for i in writer.input if i not in known]
        edge = list(dict.fromkeys(ahead))
    return list(dict.fromkeys(found))


def _is_gelu(model: Any, x: str, output: str, kind: str) -> bool:
    """Run the part between the two tensors on a ramp and compare with GELU."""
    ramp = np.linspace(-6, 6, 97)
    values: dict[str, np.ndarray] = {x: ramp}
    for name, constant in constants(model).items():
        if constant.size == 1 and np.issubdtype(constant.dtype, np.floating):
            values[name] = constant.astype(np.float64).reshape(())
    for node in model.graph.node:
        if node.output[0] == x or not all(i in values for i in node.input):
            continue
        done = _value(node.op_type, [values[i] for i in node.input])
        if done is not None:
            values[node.output[0]] = done
        if node.output[0] == output:
            break
    if output not in values or np.ndim(values[output]) == 0:
        return False
    wanted = ramp / 2 * (1 + np.vectorize(math.erf)(ramp / math.sqrt(2)))
    if kind == "Tanh":
        wanted = ramp / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (ramp + 0.044715 * ramp**3)))
    return bool(np.abs(values[output] - wanted).max() < _CLOSE)


def _value(kind: str, ins: list[np.ndarray]) -> np.ndarray | None:
    if kind == "Erf":
        return np.asarray(np.vectorize(math.erf)(ins[0]))
    if kind == "Tanh":
        return np.asarray(np.tanh(ins[0]))
    if len(ins) == 2:
        two: dict[str, np.ufunc] = {
            "Mul": np.multiply,
            "Div": np.divide,
            "Add": np.add,
            "Pow": np.power,
        }
        if kind in two:
            with np.errstate(all="ignore"):
                return np.asarray(two[kind](ins[0], ins[1]))
    return None


def _replace(model: Any, x: str, output: str, *, approximate: str) -> None:
    """One Gelu from x to output, and what only served the old form goes."""
    from onnx import helper

    nodes, made = [], helper.make_node("Gelu", [x], [output], name=output, approximate=approximate)
    for node in model.graph.node:
        if output in node.output:
            made.name = node.name or output
        nodes.append(made if output in node.output else node)
    wanted, kept = {o.name for o in model.graph.output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    copies = [type(made).FromString(node.SerializeToString()) for node in reversed(kept)]
    del model.graph.node[:]
    model.graph.node.extend(copies)
