"""One-operator models for tests: as a .tflite for TFLM, as our graph, and as a C program.

``Case`` holds tensors in their order of use; ``judge`` runs TFLM's host interpreter, ``our`` the
numpy reference, and ``run_c`` all cases of a list in one program built with the sanitizers.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcu_hybrid import ops
from mcu_hybrid.codegen import ctext
from mcu_hybrid.graph.types import Graph, Op, Tensor
from mcu_hybrid.ops.base import KernelCall, RawOp
from mcu_hybrid.quant import QuantParams

KERNELS = Path(ops.__file__).resolve().parent.parent / "kernels"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-g"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def quant(scale: float, zero_point: int) -> QuantParams:
    """Per-tensor quantisation with the float32 scale that a model file would hold."""
    return QuantParams((float(np.float32(scale)),), (int(zero_point),))


def int8(name: str, shape: Any, params: QuantParams, data: np.ndarray | None = None) -> Tensor:
    """An int8 tensor; a constant where ``data`` is given."""
    return Tensor(name, tuple(int(n) for n in shape), "int8", params, data)


def const(name: str, values: Any) -> Tensor:
    """An int32 constant: axes, sizes, permutations."""
    data = np.asarray(values, np.int32)
    return Tensor(name, data.shape, "int32", None, data)


@dataclass
class Case:
    """One operator; ``options`` has the names of TFLite's options table in snake_case."""

    kind: str
    ins: list[Tensor]
    outs: list[Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    arrays: list[np.ndarray] = field(default_factory=list)

    def fill(self, rng: np.random.Generator) -> Case:
        """Random values for the variable inputs."""
        for tensor in self.ins:
            if tensor.data is None:
                self.arrays.append(rng.integers(-128, 128, tensor.shape).astype(np.int8))
        return self

    def operands(self) -> list[np.ndarray]:
        """One array per input, constants included."""
        variable = iter(self.arrays)
        return [next(variable) if t.data is None else t.data for t in self.ins]

    def graph(self) -> tuple[Graph, Op]:
        """The checked graph."""
        # A tensor that is given twice is one tensor, as in ADD(x, x).
        tensors = tuple({id(tensor): tensor for tensor in (*self.ins, *self.outs)}.values())
        where = {id(tensor): index for index, tensor in enumerate(tensors)}
        ins = tuple(where[id(tensor)] for tensor in self.ins)
        outs = tuple(where[id(tensor)] for tensor in self.outs)
        module = ops.module(self.kind)
        attrs = module.from_tflite(RawOp(self.kind, "op", ins, outs, self.options, tensors))
        op = Op(self.kind, "op", ins, outs, attrs)
        variable = tuple(dict.fromkeys(i for i in ins if tensors[i].data is None))
        graph = Graph("one", tensors, (op,), variable, outs)
        module.check(graph, op)
        return graph, op

    def our(self) -> tuple[np.ndarray, ...]:
        """The numpy reference."""
        graph, op = self.graph()
        return tuple(ops.module(self.kind).reference(graph, op, self.operands()))

    def tflite(self) -> bytes:
        """The same operator as a .tflite file."""
        model, sub = schema.ModelT(), schema.SubGraphT()
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, self.kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        model.version, model.operatorCodes = 3, [code]
        model.buffers, model.subgraphs = [schema.BufferT()], [sub]
        sub.tensors = [_tensor(model, tensor) for tensor in (*self.ins, *self.outs)]
        operator = schema.OperatorT()
        operator.inputs = list(range(len(self.ins)))
        operator.outputs = list(range(len(self.ins), len(sub.tensors)))
        _set_options(operator, self.kind, self.options)
        sub.operators, sub.outputs = [operator], operator.outputs
        sub.inputs = [i for i, tensor in enumerate(self.ins) if tensor.data is None]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def judge(self) -> list[np.ndarray]:
        """TFLM's outputs."""
        from tflite_micro.python.tflite_micro import runtime

        interpreter = runtime.Interpreter.from_bytes(self.tflite(), arena_size=1 << 18)
        for position, array in enumerate(self.arrays):
            interpreter.set_input(array, position)
        interpreter.invoke()
        return [interpreter.get_output(i) for i in range(len(self.outs))]

    def __str__(self) -> str:
        tensors = ", ".join(f"{t.name}{list(t.shape)} {t.quant}" for t in (*self.ins, *self.outs))
        return f"{self.kind} {self.options} {tensors}"


def _tensor(model: Any, tensor: Tensor) -> Any:
    out = schema.TensorT()
    out.name, out.shape = tensor.name.encode(), list(tensor.shape)
    out.type = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}[tensor.dtype]
    if tensor.quant is not None:
        out.quantization = schema.QuantizationParametersT()
        out.quantization.scale = list(tensor.quant.scales)
        out.quantization.zeroPoint = list(tensor.quant.zero_points)
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(tensor.data.tobytes(), np.uint8)
        model.buffers.append(buffer)
        out.buffer = len(model.buffers) - 1
    return out


def _set_options(operator: Any, kind: str, options: dict[str, Any]) -> None:
    name = "".join(word.capitalize() for word in kind.split("_")) + "Options"
    if not hasattr(schema, f"{name}T"):
        return
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    for key, value in options.items():
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
        assert hasattr(operator.builtinOptions, camel), (name, camel)
        setattr(operator.builtinOptions, camel, value)


# --- C ----------------------------------------------------------------------------------------


def run_c(cases: list[Case], folder: Path) -> list[list[list[np.ndarray]]]:
    """Outputs per case and run: the first run has its own output, the others are in place."""
    functions, sizes, sources = [], [], set()
    for number, case in enumerate(cases):
        graph, op = case.graph()
        module = ops.module(case.kind)
        call = module.lower(graph, op)
        if call is None:  # a view: nothing to run, the output is the input
            functions.append(f"static void case{number}(void)\n{{\n}}\n")
            sizes.append(None)
            continue
        sources |= {call.source, *call.also}
        shared = [(call.ins.index(op.inputs[i]), o) for i, o in module.inplace(graph, op)]
        functions.append(_function(number, case, call, shared))
        sizes.append((len(shared) + 1, [graph.tensor(i).shape for i in call.outs]))
    folder.mkdir(exist_ok=True)
    output = _execute(folder, functions, sorted(sources))
    return [_split(output, case, size) for case, size in zip(cases, sizes, strict=True)]


def _split(output: Any, case: Case, size: Any) -> list[list[np.ndarray]]:
    if size is None:
        return [[case.operands()[0].reshape(case.outs[0].shape)]]
    return [
        [np.frombuffer(output.read(int(np.prod(s))), np.int8).reshape(s) for s in size[1]]
        for _ in range(size[0])
    ]


def _execute(folder: Path, functions: list[str], sources: list[str]) -> Any:
    calls = "\n".join(f"    case{i}();" for i in range(len(functions)))
    text = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    text += '#include "mh_nn_elementwise.h"\n\n' + "\n".join(functions)
    text += f"\nint main(void)\n{{\n{calls}\n    return 0;\n}}\n"
    (folder / "main.c").write_text(text)
    files = [str(KERNELS / "ref" / f"{stem}.c") for stem in sources]
    program = folder / "cases"
    command = ["gcc", *STRICT, *SANITIZE, f"-I{KERNELS / 'include'}", str(folder / "main.c")]
    subprocess.run([*command, *files, "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return BytesIO(done.stdout)


def _function(number: int, case: Case, call: KernelCall, shared: list[tuple[int, int]]) -> str:
    """One function: constants, then a block per run."""
    tables = ctext.struct_tables(call.params)
    names = {table.name: f"c{number}_{table.name}" for table in tables}
    parts = [ctext.table_text(table, names[table.name], section=None) for table in tables]
    parts.append(ctext.struct_text(call.params, f"c{number}_p", names))
    graph, op = case.graph()
    arrays = dict(zip(op.inputs, case.operands(), strict=True))
    for i, index in enumerate(call.ins):
        cells = ", ".join(str(int(v)) for v in arrays[index].reshape(-1))
        parts.append(f"static const int8_t c{number}_in{i}[] = {{{cells}}};")
    sizes = [graph.tensor(i).bytes for i in call.outs]
    blocks = [_block(number, call, sizes, None)]
    blocks += [_block(number, call, sizes, position) for position, _ in shared]
    return "\n".join([*parts, f"static void case{number}(void)\n{{", *blocks, "}\n"])


def _block(number: int, call: KernelCall, sizes: list[int], overlay: int | None) -> str:
    """Call the kernel with heap outputs (so that overruns are caught) and print them."""
    ins = [f"c{number}_in{i}" for i in range(len(call.ins))]
    lines = [f"int8_t *out{i} = malloc({size});" for i, size in enumerate(sizes)]
    if overlay is not None:
        lines.append(f"memcpy(out0, {ins[overlay]}, {sizes[0]});")
        same = [i for i, index in enumerate(call.ins) if index == call.ins[overlay]]
        ins = ["out0" if i in same else name for i, name in enumerate(ins)]
    outs = [f"out{i}" for i in range(len(sizes))]
    pointers = {
        "nary_in": f"(const int8_t *const[]){{{', '.join(ins)}}}, {outs[0]}",
        "nary_out": f"{ins[0]}, (int8_t *const[]){{{', '.join(outs)}}}",
    }
    passed = pointers.get(call.form, ", ".join([*ins, *outs]))
    lines.append(f"if ({call.function}(&c{number}_p, {passed}, NULL) != MH_OK) {{ exit(1); }}")
    lines += [f"fwrite(out{i}, 1, {size}, stdout);" for i, size in enumerate(sizes)]
    lines += [f"free({out});" for out in outs]
    return "    {\n" + "\n".join(f"        {line}" for line in lines) + "\n    }"
