"""Open Inference Protocol v2: data types and tensors as bytes or JSON values.

No messages and no HTTP here (see oip.py). Anything malformed raises OipError with an HTTP status.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mcu_hybrid.errors import CloudError

DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(np.object_),
}
MAX_DIMS = 32  # numpy's own limit


class OipError(CloudError):
    """A message that breaks the protocol or does not fit the model; ``status`` is for HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message, reason="protocol")
        self.status = status


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output; -1 in ``shape`` is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def accepts(self, shape: Sequence[int]) -> bool:
        """True where a tensor of this shape fits."""
        return len(shape) == len(self.shape) and all(
            want in (-1, have) for want, have in zip(self.shape, shape, strict=True)
        )

    def to_json(self) -> dict[str, object]:
        """The metadata entry."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    @classmethod
    def parse(cls, entry: Any) -> TensorSpec:
        """Read such an entry; KeyError, TypeError or ValueError where it is none."""
        shape = tuple(int(size) for size in entry["shape"])
        return cls(str(entry["name"]), str(entry["datatype"]), shape)

    def __str__(self) -> str:
        return f"{self.name}: {self.datatype} {list(self.shape)}"


def datatype_of(array: np.ndarray) -> str:
    """The protocol's name of an array's dtype; strings and objects are BYTES."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    for name, dtype in DTYPES.items():
        if name != "BYTES" and dtype == array.dtype.newbyteorder("<"):
            return name
    raise OipError(f"dtype {array.dtype} has no Open Inference Protocol type")


def to_binary(array: np.ndarray) -> bytes:
    """Little-endian, row-major bytes; BYTES elements carry a 4-byte length each."""
    name = datatype_of(array)
    if name != "BYTES":
        return np.ascontiguousarray(array, DTYPES[name]).tobytes()
    parts = []
    for item in array.ravel():
        raw = item if isinstance(item, bytes) else str(item).encode()
        parts.append(len(raw).to_bytes(4, "little") + raw)
    return b"".join(parts)


def from_binary(data: bytes, datatype: str, shape: Sequence[int], name: str = "") -> np.ndarray:
    """The inverse of ``to_binary``; raises OipError where the size is not the shape's."""
    count = prod(shape)
    if datatype == "BYTES":
        items = _split_bytes(data, count, name)
        array = np.empty(len(items), object)
        array[:] = items
        return _reshape(array, shape, name)
    dtype = DTYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise OipError(
            f"tensor '{name}': {len(data)} bytes of data, but {datatype} {list(shape)} "
            f"needs {count * dtype.itemsize}"
        )
    if datatype == "BOOL" and data.strip(b"\x00\x01"):
        raise OipError(f"tensor '{name}': a BOOL byte is neither 0 nor 1")
    return _reshape(np.frombuffer(data, dtype), shape, name)


def _split_bytes(data: bytes, count: int, name: str) -> list[bytes]:
    items: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise OipError(f"tensor '{name}': BYTES data is cut off")
        items.append(data[at + 4 : end])
        at = end
    if len(items) != count:
        raise OipError(f"tensor '{name}': {len(items)} BYTES elements, shape needs {count}")
    return items


def to_json_data(array: np.ndarray, name: str = "") -> list[Any]:
    """Flat row-major list; NaN and infinity do not exist in JSON and are refused."""
    if array.dtype.kind in "OSU":
        return [
            v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in array.flat
        ]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise OipError(
            f"tensor '{name}' holds NaN or infinity, which JSON cannot carry: use binary"
        )
    data: list[Any] = array.ravel().tolist()
    return data


def from_json_data(data: Any, datatype: str, shape: Sequence[int], name: str = "") -> np.ndarray:
    """Array from a flat or nested list; raises OipError on a wrong count, type or range."""
    if not isinstance(data, list):
        raise OipError(f"tensor '{name}': 'data' must be a list")
    flat = _flatten(data, name)
    if len(flat) != prod(shape):
        raise OipError(
            f"tensor '{name}': {len(flat)} values, shape {list(shape)} needs {prod(shape)}"
        )
    dtype = DTYPES[datatype]
    kinds: dict[str, tuple[type, ...]] = {"b": (bool,), "f": (int, float), "O": (str,)}
    wanted = kinds.get(dtype.kind, (int,))
    for value in flat:
        if not isinstance(value, wanted) or (isinstance(value, bool) and dtype.kind != "b"):
            raise OipError(f"tensor '{name}': {value!r} is not a {datatype} value")
    if dtype.kind == "O":
        array = np.empty(len(flat), object)
        array[:] = [value.encode() for value in flat]
        return _reshape(array, shape, name)
    return _reshape(_numbers(flat, datatype, name), shape, name)


def _numbers(flat: list[Any], datatype: str, name: str) -> np.ndarray:
    dtype = DTYPES[datatype]
    if dtype.kind in "iu" and flat:
        limits = np.iinfo(dtype)
        in_range = min(flat) >= limits.min and max(flat) <= limits.max
    else:
        in_range = True
    try:
        with np.errstate(over="raise"):
            if in_range:
                return np.array(flat, dtype)
    except (OverflowError, FloatingPointError):
        pass
    raise OipError(f"tensor '{name}': a value is out of the range of {datatype}")


def _flatten(data: list[Any], name: str) -> list[Any]:
    flat = data
    for _ in range(MAX_DIMS):
        if not any(isinstance(item, list) for item in flat):
            return flat
        if not all(isinstance(item, list) for item in flat):
            break
        flat = [value for item in flat for value in item]
    raise OipError(f"tensor '{name}': 'data' is nested unevenly or too deep")


def _reshape(flat: np.ndarray, shape: Sequence[int], name: str) -> np.ndarray:
    try:
        return flat.reshape(tuple(shape))
    except (ValueError, OverflowError) as error:  # an empty tensor with absurd other sizes
        raise OipError(f"tensor '{name}': shape {list(shape)} is not possible") from error
