"""mcu-hybrid: hybrid inference (base + router on a microcontroller, global in the cloud).

The public API: ``import mcu_hybrid as mh``. All of it is in ``api.py``, which is loaded when the
first name is used: the import is instant, and takes no package that is not needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcu_hybrid.api import (
        Answer,
        BenchOptions,
        BenchResult,
        Board,
        Build,
        CloudClient,
        Device,
        DeviceClock,
        Direct,
        EngineOptions,
        ExportOptions,
        Flashed,
        HybridConfig,
        McuHybridError,
        Model,
        NoCloud,
        Prediction,
        Predictions,
        PredictOptions,
        Query,
        Resting,
        RunOptions,
        Session,
        TuneOptions,
        Way,
        build,
        export_model,
        flash,
        link_model,
        list_boards,
        load_board,
        load_model,
        measure,
        open_build,
        predict,
        run,
        serving,
        train,
        tune,
    )

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "BenchOptions",
    "BenchResult",
    "Board",
    "Build",
    "CloudClient",
    "Device",
    "DeviceClock",
    "Direct",
    "EngineOptions",
    "ExportOptions",
    "Flashed",
    "HybridConfig",
    "McuHybridError",
    "Model",
    "NoCloud",
    "PredictOptions",
    "Prediction",
    "Predictions",
    "Query",
    "Resting",
    "RunOptions",
    "Session",
    "TuneOptions",
    "Way",
    "__version__",
    "build",
    "export_model",
    "flash",
    "link_model",
    "list_boards",
    "load_board",
    "load_model",
    "measure",
    "open_build",
    "predict",
    "run",
    "serving",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """A public name, from ``api.py``; other names are no attributes (modules are imported)."""
    if name not in __all__:
        raise AttributeError(f"module 'mcu_hybrid' has no attribute '{name}'")
    return getattr(importlib.import_module("mcu_hybrid.api"), name)


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
