"""What predict is given, as tensors: image files and arrays, of the model's size and range.

An image becomes what it was in training: turned, resized and quantised by the same code. What is
changed on the way is said. Not here: who answers (predict.py).
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mcu_hybrid.errors import DataError, ModelError
from mcu_hybrid.export import suspicion
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.steps.build import Model
from mcu_hybrid.training import archives, image_decode

Source = Path | str | np.ndarray
_ARRAYS = (".npy", ".npz")
_LUMA = np.array([299, 587, 114])  # of red, green and blue, in thousandths: ITU-R BT.601


@dataclass(frozen=True)
class Sample:
    """One input: its name, the int8 tensor [1, ...], and the uint8 image that it was, if any."""

    name: str
    tensor: np.ndarray
    image: np.ndarray | None = None


@dataclass(frozen=True)
class Reader:
    """Turns what a user gives into inputs of one model; ``seen`` counts what was changed.

    ``pixels`` is the range that the user says; None takes the file's word, and only where an image
    is read: the model's own int8 input needs none.
    """

    model: Model
    pixels: PixelForm | None = None
    seen: Counter[str] = field(default_factory=Counter)

    def read(self, sources: Sequence[Source]) -> list[Sample]:
        """All inputs, in order.

        Raises:
            DataError: a file that cannot be read, or is none of an image, .npy and .npz.
            ModelError: the model takes no images, several inputs, or arrays of another shape.
        """
        graph = self.model.graph
        if len(graph.inputs) != 1:
            raise ModelError(
                f"has {len(graph.inputs)} inputs, need one", "give a classifier", path=graph.name
            )
        return [sample for source in sources for sample in _samples(self, source)]

    @cached_property
    def graph(self) -> Graph:
        """The model's graph with the range of pixels that it was trained on.

        An export says it in its metadata. Of a bare .tflite the input's scale says it, where it is
        a usual range; a guess would be a wrong answer that looks like a right one.
        """
        graph = self.model.graph
        tensor = graph.tensor(graph.inputs[0])
        is_told = "input" in (self.model.file.metadata or {})
        if self.pixels is not None and is_told:
            raise ModelError(
                f"says itself what a pixel becomes: {graph.pixels}",
                "leave out --input-scale, --mean and --std, or export it with them",
                path=graph.name,
            )
        if self.pixels is not None:
            return graph.with_(pixels=self.pixels.check(tensor.shape[-1]))
        if is_told:
            return graph
        quant = tensor.require_quant()
        low, high = ((q - quant.zero_point) * float(quant.scale) for q in (-128, 127))
        found = suspicion.matching_form(low, high)
        if found is None:
            raise ModelError(
                f"its input holds {low:.4g} .. {high:.4g}: the file does not say what a pixel "
                "becomes",
                "give --input-scale, --mean and --std as in its training",
                path=graph.name,
            )
        return graph.with_(pixels=found)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the model's images."""
        tensor = self.model.graph.tensor(self.model.graph.inputs[0])
        if len(tensor.shape) != 4:
            raise ModelError(
                f"takes {list(tensor.shape)}, no image",
                "give its int8 input as .npy",
                path=self.model.graph.name,
            )
        _, height, width, channels = tensor.shape
        return height, width, channels

    def of_image(self, name: str, image: np.ndarray) -> Sample:
        """An image of the model's shape."""
        return Sample(name, to_int8(self.graph, image[None]), image)


def _samples(reader: Reader, source: Source) -> Iterator[Sample]:
    if isinstance(source, np.ndarray):
        yield from _of_array(reader, source, "array")
        return
    path = Path(source)
    if path.suffix.lower() in _ARRAYS:
        yield from _of_array(reader, _array(path), path.name)
        return
    height, width, _ = reader.image_shape
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", "give image files, .npy or .npz", path=path
        ) from error
    try:
        whole = image_decode.decode(data, None, Counter())
        image = image_decode.decode(data, (height, width), reader.seen)
    except ValueError as error:
        raise DataError(
            f"cannot be read as an image: {error}", "give a PNG or JPEG, .npy or .npz", path=path
        ) from error
    if whole.shape[:2] != (height, width):
        reader.seen[f"resized to {height}x{width} (height x width)"] += 1
    yield reader.of_image(path.name, _with_channels(reader, image))


def _with_channels(reader: Reader, image: np.ndarray) -> np.ndarray:
    """Grey made colour as in training; colour made grey, which a grey model needs."""
    have, channels = image.shape[2], reader.image_shape[2]
    if have == channels:
        return image
    if (have, channels) == (1, 3):
        reader.seen["grey: made colour"] += 1
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))
    if (have, channels) == (3, 1):
        reader.seen["in colour: made grey"] += 1
        return ((image @ _LUMA + 500) // 1000).astype(np.uint8)[..., None]
    raise ModelError(
        f"takes images of {channels} channels, a file has {have}",
        "give its input as .npy",
        path=reader.model.graph.name,
    )


def _array(path: Path) -> np.ndarray:
    """An .npy, or the array x of an .npz."""
    try:
        loaded = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        return np.asarray(loaded["x"] if path.suffix.lower() == ".npz" else loaded)
    except archives.BROKEN as error:
        raise DataError(
            f"cannot be read as an array: {error}",
            "save it with numpy.save(path, images), or numpy.savez(path, x=images)",
            path=path,
        ) from error


def _of_array(reader: Reader, array: np.ndarray, name: str) -> Iterator[Sample]:
    """uint8 images, or int8 as the model takes it; one, or several along the first axis."""
    graph = reader.model.graph
    shape = graph.tensor(graph.inputs[0]).shape
    rows = array[None] if array.shape == shape[1:] else array
    if rows.shape[1:] != shape[1:] or not len(rows) or str(rows.dtype) not in ("uint8", "int8"):
        raise DataError(
            f"is {array.dtype} {list(array.shape)}, the model takes {list(shape[1:])}",
            "give uint8 images, or the model's own int8 input, one or several of this shape",
            path=name,
        )
    is_image = rows.dtype == np.uint8 and bool(reader.image_shape)
    for number, row in enumerate(rows):
        called = name if rows is not array and len(rows) == 1 else f"{name}[{number}]"
        yield reader.of_image(called, row) if is_image else Sample(called, row[None])
