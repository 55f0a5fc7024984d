"""The cloud's network beside an export: one ONNX file that opens, answers and knows its range."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid.errors import InputError, ModelError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.export import onnx_ends, onnx_file, onnx_pixels, suspicion
from mcu_hybrid.export.facts import GLOBAL
from mcu_hybrid.export.onnx_file import ImageInput
from mcu_hybrid.export.onnx_run import FloatNet, open_session
from mcu_hybrid.graph.pixels import UNIT, PixelForm
from mcu_hybrid.nets.checkpoint import Splits

_WHAT = "the global network"
_RANGE = "global input range"


@dataclass(frozen=True)
class GlobalFacts:
    """Its accuracy on some calibration images (None where it saw none), and every doubt."""

    accuracy: float | None = None
    warnings: tuple[str, ...] = ()


def write(
    path: Path | None,
    out_dir: Path,
    splits: Splits | None,
    form: PixelForm | None,
    classes_base: np.ndarray | None,
    on_event: OnEvent | None,
) -> GlobalFacts:
    """Write the user's global model; returns what is known of it.

    Args:
        splits: its images are put through the network; without them it is only opened.
        form: what it was trained on: put into the file as its first operators.
        classes_base: the board's answers on the calibration images, to compare with.

    Raises:
        ModelError: it cannot be opened, or does not answer such images with the data's classes.
    """
    if path is None:
        if form is not None:
            raise InputError("is of --global-onnx", "give --global-onnx too", key=_RANGE)
        return GlobalFacts()
    out_dir.mkdir(parents=True, exist_ok=True)
    model = onnx_file.load(path)
    facts = GlobalFacts()
    if splits is None:
        if form is not None:
            raise InputError("needs images to be put in", "give --data", key=_RANGE)
        open_session(onnx_file.one_file(model, path), path)
    else:
        shape = splits.x_calibration.shape[1:]
        image = onnx_file.image_input(model, path, shape)
        if form is not None:
            _put_in(model, path, image, form.check(shape[-1]))
        facts = _facts(model, path, image, splits, form or UNIT, classes_base, on_event)
    if form is None and not onnx_file.has_external_data(_as_it_lies(path)):
        shutil.copyfile(path, out_dir / GLOBAL)
    else:
        (out_dir / GLOBAL).write_bytes(onnx_file.one_file(model, path))
    return facts


def _as_it_lies(path: Path) -> Any:
    import onnx

    return onnx.load(str(path), load_external_data=False)


def _put_in(model: Any, path: Path, image: ImageInput, form: PixelForm) -> None:
    if image.is_bytes:
        raise InputError(
            "is of a float input; this one takes raw bytes (uint8)",
            "leave the --global-input-... options out",
            path=path,
            key=_RANGE,
        )
    onnx_pixels.embed_pixels(model, image, form)


def _facts(
    model: Any,
    path: Path,
    image: ImageInput,
    splits: Splits,
    form: PixelForm,
    classes_base: np.ndarray | None,
    on_event: OnEvent | None,
) -> GlobalFacts:
    """Its accuracy on some calibration images, and every doubt."""
    count = len(splits.labels)
    some = np.random.default_rng(0).permutation(len(splits.y_calibration))[: suspicion.TRIED]
    x, y = splits.x_calibration[some], splits.y_calibration[some]
    if on_event:
        on_event("global network", 0, 1)
    net = FloatNet(onnx_file.one_file(model, path), image, path)
    outputs = net.run(x, UNIT)
    scores = next((o for o in outputs if np.issubdtype(o.dtype, np.floating)), outputs[0])
    width = int(np.prod(scores.shape[1:]))
    if width != count:
        raise ModelError(
            f"gives {width} values, the data has {count} classes",
            "give a classifier of the same classes",
            path=path,
        )
    classes = scores.reshape(len(scores), -1).argmax(axis=1)

    def answers(images: np.ndarray, tried: PixelForm) -> np.ndarray | None:
        return onnx_ends.predictions(net.run(images, tried)[0], count)

    given = not form.is_unit
    other = "" if image.is_bytes or given else suspicion.better_form(answers, x, y, UNIT, "global-")
    warnings = suspicion.of_float(_WHAT, classes, y, form, other)
    right = float((classes == y).mean())
    if classes_base is not None and right <= (base := float((classes_base[some] == y).mean())):
        warnings.append(
            f"{_WHAT} is right on {right:.1%} of {len(y)} images, the board on {base:.1%}: "
            "asking the cloud gains nothing"
        )
    return GlobalFacts(right, tuple(warnings))
