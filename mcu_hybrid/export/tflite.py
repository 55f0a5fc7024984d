"""Drives the conversion of an ONNX file to int8 TFLite, and makes the result tidy and stable."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mcu_hybrid.errors import MissingTool, ModelError, ToolError
from mcu_hybrid.export import metadata as flat
from mcu_hybrid.process import Tools

PROBES = 16  # images that the layer-by-layer comparison runs
_WORKER = "mcu_hybrid.export.convert_worker"
_TIMEOUT_S = 900.0  # a conversion takes a minute or so: a hung TensorFlow must not stay for ever


@dataclass(frozen=True)
class Converted:
    """An int8 .tflite and, per tensor name, the float model's values for the first probe rows."""

    tflite: bytes
    float_activations: Mapping[str, np.ndarray]


class ConversionError(ModelError):
    """The converter gave up; ``log`` is all that it said."""

    def __init__(self, message: str, log: str, path: Path) -> None:
        super().__init__(
            message,
            "use layers that onnx2tf supports, or convert it yourself and export the .tflite",
            path=path,
        )
        self.log = log


def convert(
    onnx: Path,
    calibration: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    *,
    shapes: Sequence[str] = (),
    keep_nhwc: Sequence[str] = (),
    tools: Tools | None = None,
) -> Converted:
    """Convert; inputs are named and ordered like ``calibration``, outputs like ``outputs``.

    Args:
        calibration: input name -> float rows (images NHWC in [0, 1]); the first is the image. Rows
            of the inputs are paired, the shorter ones start over.
        shapes: onnx2tf's "name:1,3,32,32" for inputs with free dimensions.
        keep_nhwc: inputs that are NHWC in the ONNX file already.

    Raises:
        MissingTool: TensorFlow or onnx2tf is not installed.
        ModelError: the converter refuses the model; the message holds the end of its log.
    """
    for package in ("tensorflow", "onnx2tf"):
        if find_spec(package) is None:
            raise MissingTool(f"{package} is not installed", "pip install 'mcu-hybrid[export]'")
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as name:
        folder = Path(name)
        shutil.copyfile(onnx, folder / "model.onnx")
        whole = io.BytesIO()  # first: on a full disk numpy names no cause, a file does
        np.savez(whole, **dict(calibration))
        (folder / "calibration.npz").write_bytes(whole.getbuffer())
        job = {
            "inputs": list(calibration),
            "outputs": list(outputs),
            "probes": PROBES,
            "shapes": list(shapes),
            "keep_nhwc": list(keep_nhwc),
        }
        (folder / "job.json").write_text(json.dumps(job))
        argv = [sys.executable, "-m", _WORKER, name]
        log, code = "", 0
        try:
            done = (tools or Tools()).run(argv, cwd=folder, timeout_s=_TIMEOUT_S, check=False)
            log, code = done.output, done.code
            raw = (folder / "int8.tflite").read_bytes()
        except (ToolError, OSError) as error:
            log = log or str(error)
            raise ConversionError(
                f"onnx2tf and TensorFlow cannot convert it: {_reason(log, code)}", log, onnx
            ) from error
        floats = {}
        if (folder / "float.npz").is_file():  # not where our own look at the network failed
            with np.load(folder / "float.npz", allow_pickle=False) as file:
                floats = {str(n): file[f"a{i}"] for i, n in enumerate(file["names"])}
    tidy, names = flat.tidy(raw, list(calibration), list(outputs))
    renamed = {names[old]: array for old, array in floats.items() if old in names}
    return Converted(tidy, renamed)


def _reason(log: str, code: int = 0) -> str:
    """What of the log says most: operators without a form, else the last error's line.

    Args:
        code: the process's exit code; below 0 it was ended by that signal.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    missing = re.search(r"(?:TF Select|Custom) ops: *([\w, ]+)", plain)
    if missing is not None:
        return f"TensorFlow Lite has no operator {missing[1].strip()}"
    log_line = re.compile(r"^([IWE]\d{4} |WARNING|INFO)")  # TensorFlow's own log, behind the error
    lines = [line.strip() for line in plain.splitlines() if not log_line.match(line)]
    telling = [line for line in lines if re.match(r"^(\w*\.)*\w*(Error|Exception)\b", line)]
    if code < 0 and not telling:
        return f"the converter crashed ({signal.strsignal(-code) or -code})"
    return (telling or [line for line in lines if line] or ["no message"])[-1][:400]
