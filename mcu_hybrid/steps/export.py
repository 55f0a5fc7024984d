"""export: a train folder, an ONNX file or a ready .tflite to the export folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mcu_hybrid import extras, manifest, mechanisms
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.export import Agreement, ExportData, ExportFacts
from mcu_hybrid.artifacts.table import RouterSize
from mcu_hybrid.artifacts.train import Described, TrainedData, TrainFacts
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import fix_input_shapes, read_tflite
from mcu_hybrid.compiler.router_cost import router_costs
from mcu_hybrid.errors import InputError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.graph.pixels import PixelForm
from mcu_hybrid.graph.types import Graph


@dataclass(frozen=True)
class ExportOptions:
    """``data`` is needed for files that are not ours: thresholds and ranges come from it.

    ``router`` is the deployed one. ``pixels`` is what such a network was trained on (None: [0, 1],
    of a .tflite what its input's scale says), ``global_pixels`` that of the global one.
    """

    coverage: float | None = None
    router: str = ""  # "": learned; entropy where the source has no learned one
    data: str = ""
    size: tuple[int, int] | None = None
    global_onnx: Path | None = None
    seed: int = 0
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()  # of a .tflite that leaves them open
    pixels: PixelForm | None = None
    global_pixels: PixelForm | None = None


def read_graph(data: bytes, name: str) -> Graph:
    """The graph that the device runs: read, linked, verified."""
    file = read_tflite(data, name)
    return run_passes(file.graph, file.metadata)


def export_step(
    source: Path,
    out: Path,
    options: ExportOptions = ExportOptions(),
    *,
    on_event: OnEvent | None = None,
) -> ExportFacts:
    """Export into the folder ``out``; returns the manifest's facts.

    Args:
        source: a train folder, an .onnx file (converted) or an int8 .tflite (checked, packed).
    """
    if not source.exists():
        raise InputError(
            "no such file or folder", "give a train folder, an .onnx or a .tflite", path=source
        )
    if options.router:
        mechanisms.router_id(options.router)  # said before the conversion
    extras.require("export", "export", *(["train"] if source.is_dir() or options.data else []))
    package = exporter()
    if source.is_dir():
        _require_none_for_a_folder(source, options)
    trained = store.facts(TrainFacts, source) if source.is_dir() else None
    if options.global_onnx is not None and not options.global_onnx.is_file():
        raise InputError("no such file", "give an ONNX file", path=options.global_onnx)
    with manifest.writing(out, "export") as draft:
        draft.sources["model"] = source
        if trained is not None:
            facts = package.export_hybrid(
                source,
                draft.folder,
                read_graph,
                coverage=options.coverage,
                router=options.router or mechanisms.of_model().name,
                on_event=on_event,
            )
            told: TrainedData | Described | ExportData | None = trained.data
        else:
            with _sized(source, options) as file:
                data = _data(options, on_event) if options.data else None
                facts = _export_file(file, draft.folder, options, data, on_event)
            told = _data_facts(options, data) if data else None
        routers = _costs(draft.folder / package.MODEL)
        found = ExportFacts(**vars(facts), data=told, routers=routers)
        draft.facts |= found.to_json()
    return found


@contextmanager
def _sized(source: Path, options: ExportOptions) -> Iterator[Path]:
    """The file itself, or a copy of the .tflite with the sizes that are given for its inputs."""
    if not options.input_shapes:
        yield source
        return
    if source.suffix != ".tflite" or not source.is_file():
        raise InputError(
            "is no .tflite: --input-shape fixes the sizes of one", "leave it out", path=source
        )
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as folder:
        copy = Path(folder) / source.name
        shapes = dict(options.input_shapes)
        copy.write_bytes(fix_input_shapes(source.read_bytes(), source.name, shapes))
        yield copy


def _require_none_for_a_folder(source: Path, options: ExportOptions) -> None:
    """What a train folder has of its own cannot be given; unheard it would be a surprise."""
    given = {
        "--global-onnx": options.global_onnx,
        "--input-scale, --mean, --std": options.pixels,
        "--global-input-scale, --global-mean, --global-std": options.global_pixels,
    }
    for names, value in given.items():
        if value is not None:
            raise InputError(
                f"is a folder of training, which has its own: {names} cannot be given",
                "leave it out, or export an .onnx or .tflite",
                path=source,
            )


def exporter() -> ModuleType:
    """The module export/package.py; raises MissingTool where its packages are not installed."""
    extras.require("export", "export")
    from mcu_hybrid.export import package

    return package


def _costs(path: Path) -> tuple[RouterSize, ...]:
    """What each router of the model costs, as far as that depends on no board."""
    rows = router_costs(program_of(read_graph(path.read_bytes(), path.name)))
    return tuple(
        RouterSize(router=row.router, macs=row.macs, constant_bytes=row.constant_bytes)
        for row in rows
    )


def _export_file(
    source: Path, folder: Path, options: ExportOptions, data: Any, on_event: OnEvent | None
) -> Agreement:
    from mcu_hybrid.export import package

    splits = _splits(options, data) if data else None
    if source.suffix == ".tflite":
        return package.export_tflite(
            source,
            folder,
            read_graph,
            splits=splits,
            global_onnx=options.global_onnx,
            coverage=options.coverage,
            router=options.router,
            pixels=options.pixels,
            global_pixels=options.global_pixels,
            on_event=on_event,
        )
    if source.suffix != ".onnx":
        raise InputError(
            "is neither a train folder, an .onnx nor a .tflite",
            "export the network as ONNX first (torch.onnx.export)",
            path=source,
        )
    if splits is None:
        raise InputError(
            "converting to int8 needs representative images", "give --data", path=source
        )
    return package.export_onnx(
        source,
        splits,
        folder,
        read_graph,
        global_onnx=options.global_onnx,
        coverage=options.coverage,
        router=options.router,
        pixels=options.pixels,
        global_pixels=options.global_pixels,
        on_event=on_event,
    )


def _data_facts(options: ExportOptions, data: Any) -> ExportData:
    from mcu_hybrid.training.data import remarks

    return ExportData(spec=options.data, size=options.size, **vars(remarks(data)))


def _data(options: ExportOptions, on_event: OnEvent | None) -> Any:
    """The images of a user's data set."""
    from mcu_hybrid.training.data import load_data

    return load_data(options.data, size=options.size, on_event=on_event)


def _splits(options: ExportOptions, data: Any) -> Any:
    """The data set, split as training would."""
    from mcu_hybrid.training.config import HybridConfig
    from mcu_hybrid.training.train import split_and_keep

    return split_and_keep(HybridConfig(seed=options.seed), data)
