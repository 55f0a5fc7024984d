"""Opens a user's ONNX file with its external data, and says what its image input takes.

A path in a message is the one that the user gave. Not here: changes of the graph (onnx_edit.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_hybrid.errors import MissingTool, ModelError

_LIMIT_BYTES = (1 << 31) - 1  # of one protobuf message
_AGAIN = "copy or export the file again"


@dataclass(frozen=True)
class ImageInput:
    """The one image input: its name, its layout, and whether it takes raw bytes (uint8)."""

    name: str
    is_nchw: bool
    is_bytes: bool = False


def load(path: Path) -> Any:
    """The ModelProto, weights of external data files in it.

    Raises:
        ModelError: no readable ONNX file, or a data file is missing, short or outside its folder.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingTool("onnx is not installed", "pip install 'mcu-hybrid[export]'") from error
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(what, "give an ONNX file", path=path)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf raises several classes for damaged bytes
        raise ModelError(f"is not a readable ONNX file: {error}", _AGAIN, path=path) from error
    if not model.graph.node or not model.graph.output:
        raise ModelError("is not a readable ONNX file: it holds no network", _AGAIN, path=path)
    if has_external_data(model):
        _require_data_files(model, path)
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except Exception as error:  # whatever onnx says of a file that we found in order
            raise ModelError(
                f"its external data cannot be read: {_first_line(error)}", _AGAIN, path=path
            ) from error
    return model


def has_external_data(model: Any) -> bool:
    """True where weights lie in other files."""
    return any(_is_external(tensor) for tensor in _tensors(model))


def one_file(model: Any, path: Path) -> bytes:
    """The model with all of its weights as one ONNX file's bytes; ``path`` is for messages."""
    size = model.ByteSize()
    if size > _LIMIT_BYTES:
        raise too_large(path, size)
    return bytes(model.SerializeToString())


def too_large(path: Path, size: int) -> ModelError:
    """The refusal of weights that one ONNX file cannot hold."""
    return ModelError(
        f"has {size / 2**30:.1f} GiB of weights; one ONNX file holds at most 2 GiB",
        "serve it from where it lies: mcu-hybrid serve --model FILE, then run --cloud URL",
        path=path,
    )


def image_input(model: Any, path: Path, image: tuple[int, ...], *, outputs: int = 0) -> ImageInput:
    """Check that the model takes one image of shape ``image`` (H, W, C), as NCHW or NHWC.

    Args:
        outputs: how many outputs it may have; 0: any number.

    Raises:
        ModelError: it takes something else.
    """
    from onnx import TensorProto

    fixed = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in fixed]
    found = len(model.graph.output)
    if len(inputs) != 1 or outputs not in (0, found):
        names = ", ".join(f"'{v.name}'" for v in (*inputs, *model.graph.output))
        raise ModelError(
            f"has {len(inputs)} inputs and {found} outputs ({names}), expected one of each",
            "export a classifier: one image in, one vector of logits out",
            path=path,
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in (TensorProto.FLOAT, TensorProto.UINT8) or (outputs and kind == 2):
        raise ModelError(
            f"input '{inputs[0].name}' is not float32",
            "export the network with a float32 image as its input",
            path=path,
        )
    batch = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim][:1]
    if batch and batch[0] > 1:
        raise ModelError(
            f"input '{inputs[0].name}' takes {batch[0]} images at once",
            "export the network with a batch of 1, or a free one (dynamic_axes)",
            path=path,
        )
    dims = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim]
    height, width, channels = image
    layouts = {True: (channels, height, width), False: (height, width, channels)}
    for is_nchw, wanted in layouts.items():
        if len(dims) == 4 and all(d in (0, w) for d, w in zip(dims[1:], wanted, strict=True)):
            return ImageInput(inputs[0].name, is_nchw, kind == TensorProto.UINT8)
    raise ModelError(
        f"input '{inputs[0].name}' has shape {dims}, the images are {list(image)} (HWC)",
        "give the data that the model was made for, or --size HEIGHTxWIDTH",
        path=path,
    )


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor with values: initializers and attributes, of subgraphs and functions too."""
    for function in model.functions:
        yield from _of_nodes(function.node)
    yield from _of_graph(model.graph)


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _of_graph(graph)


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location == 1)  # TensorProto.EXTERNAL


def _require_data_files(model: Any, path: Path) -> None:
    """Every data file lies in the model's folder, is there, and is long enough."""
    total = 0
    for tensor in _tensors(model):
        if not _is_external(tensor):
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        file = path.parent / location
        normal = os.path.normpath(location)
        if not location or os.path.isabs(normal) or normal.split(os.sep)[0] == os.pardir:
            raise ModelError(
                f"keeps the weights '{tensor.name}' in {location!r}, outside of its own folder",
                "put the data file beside the .onnx and export it with that name",
                path=path,
            )
        if not file.is_file():
            raise ModelError(
                f"keeps its weights in {file}, which does not exist",
                f"put {location} beside {path.name}; torch.onnx.export(..., external_data=False) "
                "writes one file",
                path=path,
            )
        try:
            offset, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
        except ValueError as error:
            raise ModelError(
                f"is damaged: the place of '{tensor.name}' in {location} is no number",
                _AGAIN,
                path=path,
            ) from error
        size = file.stat().st_size
        if min(offset, length) < 0 or offset + length > size:
            raise ModelError(
                f"its data file {file} has {size:,} bytes; '{tensor.name}' ends at "
                f"{offset + length:,}",
                "the data file is cut or of another model: copy both again",
                path=path,
            )
        total += length or size - offset
        if total > _LIMIT_BYTES:
            raise too_large(path, total)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
