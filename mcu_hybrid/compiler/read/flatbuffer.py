"""Raw access to a .tflite flatbuffer: tensors, options and metadata as plain values.

Here: the schema, and bounds that a damaged file must not break. Not here: what an operator or a
quantisation must look like (tflite.py, ops/, reference/verify.py). Any Python error that damaged
bytes can cause is turned into ModelError by ``guarded``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tflite

from mcu_hybrid import json_text
from mcu_hybrid.errors import McuHybridError, ModelError
from mcu_hybrid.graph.types import Tensor
from mcu_hybrid.quant import QuantParams

IDENTIFIER = b"TFL3"
MAX_RANK = 8  # no operator here takes more than five; a damaged file can say anything
METADATA_NAME = b"mcu_hybrid"
_DTYPES = {
    code: name.lower() for name, code in vars(tflite.TensorType).items() if isinstance(code, int)
}
_DTYPES.setdefault(19, "int2")  # newer than the package that names the others
_OPTION_TABLES = {
    code: name for name, code in vars(tflite.BuiltinOptions).items() if isinstance(code, int)
}
# Tables whose name does not follow from the operator's.
_OWN_TABLES = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
}
# A stride, a kernel or a factor of 0 is what an absent table of theirs means.
_NEED_OPTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX"}
_NUMPY = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("int8", "int16", "int32", "int64", "uint8", "float32", "bool")
}
_PADDING_BYTES = 16  # zeros behind a constant, up to the alignment of the next one, are no data
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a name must not steer a terminal, or break a line
_NOT_FIELDS = re.compile(r"^(_|Init$|GetRootAs|.*BufferHasIdentifier$|.*(Length|IsNone)$)")
_DAMAGE = (
    struct.error,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    RecursionError,
)
DAMAGED_HINT = "copy or export the file again; it is truncated or damaged"


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Turn whatever damaged bytes cause inside into a ModelError that names the file."""
    try:
        yield
    except McuHybridError:
        raise
    except _DAMAGE as error:
        detail = str(error) or type(error).__name__
        raise ModelError(f"damaged or truncated ({detail})", DAMAGED_HINT, path=name) from error


def open_model(data: bytes, name: str) -> Any:
    """Return the schema's Model; raises ModelError where the bytes are no .tflite."""
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        what = "empty" if not data else "not a .tflite file (no TFL3 identifier)"
        hint = "give a full-integer int8 .tflite; mcu-hybrid export makes one from an ONNX file"
        raise ModelError(what, hint, path=name)
    return tflite.Model.GetRootAs(data)


def text(raw: bytes | None, otherwise: str) -> str:
    """A name from the file, with a stand-in where there is none."""
    return _CONTROL.sub("?", raw.decode("utf-8", "replace")) if raw else otherwise


def read_tensor(model: Any, raw: Any, index: int, size: int) -> Tensor:
    """One tensor with its quantisation and, where it is constant, its data.

    Args:
        model: the schema's Model.
        raw: the schema's Tensor.
        index: its place in the subgraph, for messages.
        size: bytes of the file; no list in it can be longer.
    """
    name = text(raw.Name(), f"tensor_{index}")
    dtype = _DTYPES.get(raw.Type(), f"type {raw.Type()}")
    if raw.ShapeLength() > MAX_RANK:
        raise ModelError(f"tensor '{name}' has {raw.ShapeLength()} dimensions", DAMAGED_HINT)
    shape = tuple(int(raw.Shape(i)) for i in range(raw.ShapeLength()))
    data = _data(model, raw, name, shape)
    quant = _quantisation(raw, name, size)
    return Tensor(name, shape, dtype, quant, data, state=bool(raw.IsVariable()))


def _quantisation(raw: Any, name: str, size: int) -> QuantParams | None:
    table = raw.Quantization()
    if table is None or table.ScaleLength() == 0:
        return None
    count, zeros = table.ScaleLength(), table.ZeroPointLength()
    if count > size or zeros not in (0, 1, count):
        raise ModelError(
            f"tensor '{name}' has {count} scales and {zeros} zero points", DAMAGED_HINT
        )
    if not zeros and _DTYPES.get(raw.Type()) == "int8":
        raise ModelError(
            f"tensor '{name}' has a scale and no zero point; TFLM takes it as not quantised",
            "export with the TFLite converter, which writes both",
        )
    scales = tuple(float(s) for s in table.ScaleAsNumpy())
    points = tuple(int(z) for z in table.ZeroPointAsNumpy()) if zeros else (0,)
    if len(points) == 1:
        points *= count
    return QuantParams(scales, points, int(table.QuantizedDimension()))


def _data(model: Any, raw: Any, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if raw.Buffer() == 0:
        return None
    buffer = model.Buffers(raw.Buffer())
    if buffer.Offset() > 1 and buffer.Size():
        raise ModelError(
            f"constant '{name}' lies behind the model's tables (the form of files over 2 GB)",
            "export the model again, with its weights inside the tables",
        )
    if buffer.DataLength() == 0:
        return None
    if raw.Sparsity() is not None:
        raise ModelError(
            f"constant '{name}' is stored sparsely", "export the model without sparse weights"
        )
    dtype = _NUMPY.get(_DTYPES.get(raw.Type(), ""))
    payload = buffer.DataAsNumpy().tobytes()
    if dtype is None:  # a kind of constant that only an unused or unsupported operator can have
        return np.frombuffer(payload, np.uint8)
    need = max(0, int(np.prod(shape, dtype=object))) * dtype.itemsize
    if min(shape, default=1) < 0 or len(payload) < need:
        raise ModelError(
            f"constant '{name}' holds {len(payload)} bytes, which does not fill its shape "
            f"{list(shape)}",
            DAMAGED_HINT,
        )
    if len(payload) - need >= _PADDING_BYTES or payload[need:].strip(b"\0"):
        raise ModelError(
            f"constant '{name}' holds {len(payload)} bytes, its shape {list(shape)} of "
            f"{_DTYPES[raw.Type()]} takes {need}: it is longer than its shape",
            "export the model again; a tool that changed the shape has left the old data",
        )
    values = np.frombuffer(payload[:need], dtype)
    return values.astype(dtype.newbyteorder("=")).reshape(shape)


def own_table(kind: str) -> str:
    """Name of the options table that an operator of this kind has; "NONE" where it has none."""
    if kind in _OWN_TABLES:
        return _OWN_TABLES[kind]
    wanted = f"{kind.replace('_', '')}options".lower()  # CONV_2D: Conv2DOptions
    return next((name for name in _OPTION_TABLES.values() if name.lower() == wanted), "NONE")


def read_options(raw: Any, kind: str) -> dict[str, Any]:
    """All fields of an operator's options table, names in snake_case; vectors become tuples.

    Fields lie at the same places in tables of other kinds and mean other things there, so only the
    kind's own table is read. One without a table has the schema's defaults, as in TFLM.

    Raises:
        ModelError: the table is of another kind, or missing where there are no sensible defaults.
    """
    number = raw.BuiltinOptionsType()
    table_name = _OPTION_TABLES.get(number, f"number {number}")
    union, own = raw.BuiltinOptions(), own_table(kind)
    if table_name not in ("NONE", own):
        takes = f"takes {own}" if own != "NONE" else "has none"
        raise ModelError(f"has an option table of another kind ({table_name}; {kind} {takes})")
    if table_name == "NONE" and union is not None:
        raise ModelError("has an option table and does not say of which kind")
    if union is None:
        if kind in _NEED_OPTIONS:
            raise ModelError(f"has no option table ({own}), which holds what it computes")
        return {}
    table = getattr(tflite, table_name)()
    table.Init(union.Bytes, union.Pos)
    names = [name for name in dir(table) if not _NOT_FIELDS.match(name)]
    vectors = {name.removesuffix("AsNumpy") for name in names if name.endswith("AsNumpy")}
    options: dict[str, Any] = {}
    for name in names:
        if name.endswith("AsNumpy") or name in vectors:
            continue
        options[_snake(name)] = getattr(table, name)()
    for name in vectors:
        count = getattr(table, f"{name}Length")()
        values = getattr(table, f"{name}AsNumpy")() if count else ()
        options[_snake(name)] = tuple(int(v) for v in values)
    return options


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def read_metadata(model: Any, name: str) -> dict[str, Any] | None:
    """The JSON object in the metadata entry "mcu_hybrid"; None where there is no such entry."""
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() != METADATA_NAME:
            continue
        buffer = model.Buffers(entry.Buffer())
        try:
            value = json_text.loads(buffer.DataAsNumpy().tobytes()) if buffer.DataLength() else None
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ModelError("metadata 'mcu_hybrid' is not a JSON object", DAMAGED_HINT, path=name)
        return value
    return None
