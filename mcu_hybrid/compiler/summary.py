"""What a .tflite holds, layer by layer, and what of it would be refused: all of it, not the first.

Nothing is compiled or planned. A model that is refused is still told: each operator is cut out into
a file of its own and read by the same reader, so that each refusal is the reader's own sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import tflite

from mcu_hybrid import ops
from mcu_hybrid.compiler.read import flatbuffer
from mcu_hybrid.compiler.read.cut import cut
from mcu_hybrid.compiler.read.tflite import float_operators_taken, read_tflite, supported_kinds
from mcu_hybrid.errors import McuHybridError, ModelError
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.ops.file_kinds import BIASED, CUSTOM
from mcu_hybrid.ops.quantize import DEQUANTIZE, QUANTIZE

_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_TYPES = {v: k.lower() for k, v in vars(tflite.TensorType).items() if isinstance(v, int)}
_BITS = {"float16": 16, "int16": 16, "float32": 32, "int32": 32, "uint32": 32, "int4": 4}
_WIDE = ("int64", "uint64", "float64", "complex64")
_NO_WEIGHTS = ("int32", "int64")  # constants of these types are shapes and axes, but for biases
_REPLACE = "replace it in the network and export again; supported: "
_EDGES = {QUANTIZE.kind: "inputs", DEQUANTIZE: "outputs"}


@dataclass(frozen=True)
class Layer:
    """One operator of the file; ``macs`` is None where it is not known, ``live_bytes`` are those
    of all tensors that exist while it runs; ``refused`` is None where it would be taken."""

    number: int
    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int
    macs: int | None
    live_bytes: int
    refused: str | None
    hint: str = ""


@dataclass(frozen=True)
class Summary:
    """``refusals`` has what the model as a whole is refused for, then each layer's own."""

    model: str
    bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    parameters: int
    constant_bytes: int
    macs: int | None
    peak_tensor_bytes: int
    peak_layer: int
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    hint: str = field(default="")

    @property
    def runs(self) -> bool:
        """True where nothing is refused."""
        return not self.refusals

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self) | {"runs": self.runs}


def summarize(data: bytes, name: str) -> Summary:
    """Tell what a file holds; raises ModelError where it is no .tflite, or damaged beyond that."""
    with flatbuffer.guarded(name):
        return _File(data, name).summary()


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str
    stored_bytes: int  # 0 where it is computed

    @property
    def elements(self) -> int:
        total = 1
        for size in self.shape:
            total *= max(size, 1)
        return total

    @property
    def bytes(self) -> int:
        bits = 64 if self.dtype in _WIDE else _BITS.get(self.dtype, 8)
        return -(-self.elements * bits // 8)

    def told(self) -> str:
        """Shape and type, as 1x96x96x3 int8."""
        return f"{'x'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"


@dataclass(frozen=True)
class _Operator:
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _has_bias(kind: str) -> bool:
    """True where an int32 constant may be a bias: it was learned."""
    found = ops.known().get(kind)
    return kind in BIASED or (found is not None and found.traits.weighted is not None)


class _File:
    """One file while it is told."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name
        self.model = flatbuffer.open_model(data, name)
        if self.model.SubgraphsLength() < 1:
            raise ModelError("has no subgraph", flatbuffer.DAMAGED_HINT, path=name)
        self.raw = raw = self.model.Subgraphs(0)
        if max(raw.TensorsLength(), raw.OperatorsLength()) > len(data):
            raise ModelError("lists more than it has bytes", flatbuffer.DAMAGED_HINT, path=name)
        self.tensors = [self._tensor(i) for i in range(raw.TensorsLength())]
        self.ops = [self._operator(i) for i in range(raw.OperatorsLength())]
        self.inputs = tuple(raw.Inputs(i) for i in range(raw.InputsLength()))
        self.outputs = tuple(raw.Outputs(i) for i in range(raw.OutputsLength()))
        self.graph, self.fault = self._read()
        self.tables = float_operators_taken(data, name)  # their float tensors never exist

    def _tensor(self, index: int) -> _Tensor:
        raw = self.raw.Tensors(index)
        shape = tuple(raw.Shape(i) for i in range(min(raw.ShapeLength(), 16)))
        stored = self.model.Buffers(raw.Buffer()).DataLength() if raw.Buffer() else 0
        name = flatbuffer.text(raw.Name(), f"tensor_{index}")
        return _Tensor(name, shape, _TYPES.get(raw.Type(), f"type {raw.Type()}"), stored)

    def _operator(self, index: int) -> _Operator:
        raw = self.raw.Operators(index)
        code = self.model.OperatorCodes(raw.OpcodeIndex())
        kind = _NAMES.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "UNKNOWN")
        if kind == CUSTOM:
            kind = f"{CUSTOM}:{flatbuffer.text(code.CustomCode(), 'unnamed')}"
        count = len(self.tensors)
        ins = [raw.Inputs(i) for i in range(raw.InputsLength())]
        outs = [raw.Outputs(i) for i in range(raw.OutputsLength())]
        if any(not -1 <= t < count for t in (*ins, *outs)):
            raise ModelError(
                "names a tensor that it does not hold", flatbuffer.DAMAGED_HINT, path=self.name
            )
        return _Operator(kind, tuple(t for t in ins if t >= 0), tuple(t for t in outs if t >= 0))

    def _read(self) -> tuple[Graph | None, McuHybridError | None]:
        """The graph as it would be compiled, or why there is none."""
        try:
            return read_tflite(self.data, self.name).graph, None
        except ModelError as error:
            return None, error

    def summary(self) -> Summary:
        layers = tuple(self._layers())
        own = [f"{row.op} '{row.name}': {row.refused}" for row in layers if row.refused]
        # The reader stops at its first fault: told once, where a layer does not tell it already.
        whole = self._fact(self.fault) if self.fault else ""
        told = any(row.refused and row.name in whole and row.op in whole for row in layers)
        told = told or any(row.refused == whole for row in layers)
        used = {t for op in self.ops for t in op.inputs if self.tensors[t].stored_bytes}
        macs = [row.macs for row in layers if row.macs is not None]
        peak = max(layers, key=lambda row: row.live_bytes, default=None)
        return Summary(
            model=self.name,
            bytes=len(self.data),
            inputs=tuple(self._told(t) for t in self.inputs),
            outputs=tuple(self._told(t) for t in self.outputs),
            layers=layers,
            parameters=sum(self.tensors[t].elements for t in self._weights(self.ops)),
            constant_bytes=sum(self.tensors[t].stored_bytes for t in used),
            macs=sum(macs) if len(macs) == len(layers) else None,
            peak_tensor_bytes=peak.live_bytes if peak else 0,
            peak_layer=peak.number if peak else 0,
            refusals=tuple(([] if told or not whole else [whole]) + own),
            notes=self.graph.notes if self.graph is not None else (),
            hint=self.fault.hint if self.fault else "",
        )

    def _told(self, tensor: int) -> str:
        return f"{self.tensors[tensor].name} {self.tensors[tensor].told()}"

    def _weights(self, some: Sequence[_Operator]) -> set[int]:
        """Constants that were learned; a tensor that several operators read counts once."""
        found = set()
        for op in some:
            for t in op.inputs:
                tensor = self.tensors[t]
                is_shape = tensor.dtype in _NO_WEIGHTS and not _has_bias(op.kind)
                found |= {t} if tensor.stored_bytes and not is_shape else set()
        return found

    def _layers(self) -> Iterator[Layer]:
        live = self._live()
        known = {op.outputs[0]: op for op in self.graph.ops} if self.graph is not None else {}
        for number, op in enumerate(self.ops):
            macs: int | None = 0
            refused = hint = None
            if self.graph is None and number not in self.tables:
                macs, refused, hint = self._alone(op)
            elif self.graph is not None and op.outputs and op.outputs[0] in known:
                found = known[op.outputs[0]]
                macs = int(ops.operator(found.kind).macs(self.graph, found))
            yield Layer(
                number,
                op.kind,
                self.tensors[op.outputs[0]].name if op.outputs else "",
                tuple(self.tensors[t].told() for t in op.inputs if not self._is_const(t)),
                tuple(self.tensors[t].told() for t in op.outputs),
                sum(self.tensors[t].elements for t in self._weights([op])),
                macs,
                live[number],
                refused,
                hint or "",
            )

    def _is_const(self, tensor: int) -> bool:
        return self.tensors[tensor].stored_bytes > 0

    def _is_float(self, tensor: int) -> bool:
        return self.tensors[tensor].dtype == "float32"

    def _alone(self, op: _Operator) -> tuple[int | None, str | None, str | None]:
        """(MACs, refusal, next step) of one operator as a model of its own."""
        if self._is_edge(op) or self._is_shape(op):
            return 0, None, None
        if op.kind not in ops.known():
            return None, "is not supported", _REPLACE + ", ".join(supported_kinds())
        ins = tuple(dict.fromkeys(t for t in op.inputs if not self._is_const(t)))
        if not ins or not op.outputs:
            return None, None if not op.inputs else "computes with constants alone", None
        made = {*self.inputs, *(t for other in self.ops for t in other.outputs)}
        if not set(ins) <= made:
            return None, None, None  # a constant without data, or nobody's: told of the whole
        try:
            with flatbuffer.guarded(self.name):
                part = cut(self.data, ins, op.outputs)
        except ModelError:
            return None, None, None  # it cannot be cut out: what the whole is refused for is told
        try:
            graph = read_tflite(part, self.name).graph
        except ModelError as error:
            named = f"{op.kind} '{self.tensors[op.outputs[0]].name}': "
            return None, self._fact(error).removeprefix(named), error.hint
        return sum(int(ops.operator(o.kind).macs(graph, o)) for o in graph.ops), None, None

    def _is_edge(self, op: _Operator) -> bool:
        """True for a QUANTIZE or DEQUANTIZE between the file's float edge and its int8 network."""
        side = _EDGES.get(op.kind, "")
        edges: Mapping[str, tuple[int, ...]] = {"inputs": self.inputs, "outputs": self.outputs}
        mine = op.inputs if side == "inputs" else op.outputs
        return bool(side) and bool(set(mine) & set(edges[side]))

    def _is_shape(self, op: _Operator) -> bool:
        """True for what computes shapes, or reads such: only the whole can be judged then."""
        computed = [t for t in (*op.inputs, *op.outputs) if not self._is_const(t)]
        return any(self.tensors[t].dtype in _NO_WEIGHTS for t in computed)

    def _fact(self, error: McuHybridError) -> str:
        """The message without the file's name, which the summary has already."""
        return error.message.removeprefix(f"{self.name}: ")

    def _live(self) -> list[int]:
        """Bytes of all tensors that exist while each operator runs, none overwriting another."""
        first: dict[int, int] = dict.fromkeys(self.inputs, 0)
        last: dict[int, int] = dict.fromkeys(self.inputs, 0)
        for number, op in enumerate(self.ops):
            inside = {t for t in op.outputs if number in self.tables and self._is_float(t)}
            for t in set(op.outputs) - inside:
                first.setdefault(t, number)
                last[t] = max(last.get(t, 0), number)
            for t in op.inputs:
                if t in first:
                    last[t] = number
        last.update({t: len(self.ops) for t in self.outputs if t in first})
        return [
            sum(self.tensors[t].bytes for t in first if first[t] <= n <= last[t])
            for n in range(len(self.ops))
        ]
