"""summarize: what a .tflite (or an export's) holds and what would be refused; compiles nothing."""

from __future__ import annotations

from pathlib import Path

from mcu_hybrid.compiler.summary import Summary, summarize
from mcu_hybrid.errors import ModelError
from mcu_hybrid.steps.build import model_path


def summarize_step(source: Path) -> Summary:
    """Summarize a .tflite, or that of an export or build folder; raises ModelError, InputError."""
    path = model_path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot be read: {error.strerror}", "give an int8 .tflite", path=path
        ) from error
    return summarize(data, path.name)
