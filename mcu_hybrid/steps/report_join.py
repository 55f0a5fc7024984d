"""Which folders belong together: steps are joined by build id and by the digest of the model.

What was made with another build never stands under the same heading: a page that shows the figures
of one firmware under the name of another is worse than none. Nothing is drawn here (report.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.build import BuildFacts
from mcu_hybrid.artifacts.export import ExportFacts
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.tune import TuneFacts, TuneResult
from mcu_hybrid.errors import ManifestError
from mcu_hybrid.manifest import Manifest

STEPS = ("train", "export", "build", "bench", "run", "tune")
_MODEL = "model.tflite"
_DEPTH = 2  # runs/build, or runs/attempt/build


@dataclass(frozen=True)
class Tuned:
    """A threshold, and the digest of the model that it was chosen for."""

    result: TuneResult
    model_sha256: str


@dataclass(frozen=True)
class Exported:
    """An export's facts, and the digest of its model."""

    facts: ExportFacts
    model_sha256: str


Content = BuildFacts | BenchResult | RunResult | Tuned | Exported | None  # None: of a training


C = TypeVar("C")


@dataclass(frozen=True)
class Found:
    """One step's folder with what it holds; ``digest`` is that of its manifest.

    ``build_id`` is "" where the step knows no build; ``model`` is the digest of the model as it was
    exported, "" where the folder does not tell.
    """

    step: str
    folder: Path
    digest: str
    manifest: Manifest
    content: Content
    build_id: str
    model: str
    board: str


@dataclass
class Part:
    """The folders of one build (or of one model that was not built); at most one of each step."""

    build_id: str
    steps: dict[str, Found] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def content(self, kind: type[C]) -> C | None:
        """What the step of this kind wrote; None where it is not there."""
        found = (step.content for step in self.steps.values())
        return next((content for content in found if isinstance(content, kind)), None)

    @property
    def model(self) -> str:
        """The digest of the exported model; of a folder that knows it for certain first."""
        order = ("build", "export", "tune", "bench", "run")
        known = [self.steps[step].model for step in order if step in self.steps]
        return next((digest for digest in known if digest), "")

    @property
    def board(self) -> str:
        """The board's name; "" where nothing was built."""
        known = (self.steps[s].board for s in ("build", "bench", "run", "tune") if s in self.steps)
        return next((name for name in known if name), "")


def find(roots: Sequence[Path]) -> list[Path]:
    """The steps' folders in ``roots``: each is a step's folder, or holds them one or two deep.

    Raises:
        ManifestError: one of them holds none.
    """
    found: list[Path] = []
    for root in roots:
        here = [root] if (root / manifest.NAME).is_file() else _below(root)
        here = [folder for folder in here if _is_step(folder)]
        if not here:
            raise _nothing(root)
        found += here
    if all(manifest.read(folder).step == "train" for folder in found):
        raise ManifestError(
            "holds a training and nothing else: a page shows what comes after it",
            "export it first, then build, bench and run: mcu-hybrid export --help",
            path=roots[0],
        )
    by_place = {folder.resolve(): folder for folder in found}
    return list(by_place.values())


def _nothing(root: Path) -> ManifestError:
    return ManifestError(
        "holds no folder of a step" if root.is_dir() else "is no folder",
        f"give the folder above {', '.join(STEPS[1:])}",
        path=root,
    )


def _below(root: Path) -> list[Path]:
    level = [root]
    for _ in range(_DEPTH):
        level = [
            child
            for folder in level
            for child in (sorted(folder.iterdir()) if folder.is_dir() else [])
            if child.is_dir() and not child.name.startswith(".")
        ]
        steps = [folder for folder in level if (folder / manifest.NAME).is_file()]
        if any(_is_step(folder) for folder in steps):
            return steps
    return []


def _is_step(folder: Path) -> bool:
    """False for a report, and for another program's manifest.json; ours may be damaged."""
    try:
        return manifest.read(folder).step in STEPS
    except ManifestError:
        if folder.name in STEPS:
            raise
        return False


def read(folder: Path) -> Found:
    """Check a step's folder (manifest.load) and read what the join needs of it.

    Raises:
        ManifestError: it is stale, changed, or its result cannot be read.
    """
    known = manifest.load(folder, *STEPS)
    digest = manifest.sha256_file(folder / manifest.NAME)
    content = _content(folder, known)
    return Found(known.step, folder, digest, known, content, *_of_build(content))


def _content(folder: Path, known: Manifest) -> Content:
    """The result that the step wrote, else its manifest's facts."""
    if known.step == "bench":
        return store.result(BenchResult, folder)
    if known.step == "run":
        return store.result(RunResult, folder)
    if known.step == "tune":
        facts = store.facts(TuneFacts, folder, known)
        return Tuned(store.result(TuneResult, folder), facts.model_sha256)
    if known.step == "build":
        return store.facts(BuildFacts, folder, known)
    if known.step == "export":
        facts_of = store.facts(ExportFacts, folder, known)
        return Exported(facts_of, str(known.files.get(_MODEL, "")))
    return None


def _of_build(content: Content) -> tuple[str, str, str]:
    """Build id, digest of the model as it was exported, and board; "" for what is not told."""
    if isinstance(content, BuildFacts):
        return content.build_id, content.untuned_sha256 or content.model_sha256, content.board
    if isinstance(content, BenchResult | RunResult):
        return content.build_id, content.model_sha256, content.board
    if isinstance(content, Tuned):
        return content.result.build_id or "", content.model_sha256, content.result.board or ""
    return "", content.model_sha256 if content is not None else "", ""


def join(found: Iterable[Found]) -> list[Part]:
    """The parts of the page, in the order of the folders: builds, then models without one."""
    folders = list(found)
    parts: list[Part] = []
    for step in ("build", "bench", "run"):
        for folder in _of(folders, step):
            _put(parts, folder, _same_build(folder))
    for folder in _of(folders, "tune"):
        _put(parts, folder, _same_build(folder) if folder.build_id else _same_model(folder))
    # Of two exports of one model that comes first which a build was made from.
    made = {s.sha256 for f in folders for s in f.manifest.sources.values()}
    for folder in sorted(_of(folders, "export"), key=lambda f: f.digest not in made):
        _put_export(parts, folder)
    for folder in _of(folders, "train"):
        _put_training(parts, folder)
    for part in parts:
        part.notes += _notes(part)
    return parts


def _of(folders: Sequence[Found], step: str) -> list[Found]:
    return [folder for folder in folders if folder.step == step]


def _same_build(folder: Found) -> Callable[[Part], bool]:
    return lambda part: bool(folder.build_id) and part.build_id == folder.build_id


def _same_model(folder: Found) -> Callable[[Part], bool]:
    """For a threshold that was chosen without firmware: a build of its model, for its board."""
    return lambda part: (
        bool(folder.model) and part.model == folder.model and folder.board in ("", part.board)
    )


def _put(parts: list[Part], folder: Found, fits: Callable[[Part], bool]) -> None:
    """Into the first part that it fits and that has no such step; else into a part of its own."""
    for part in parts:
        if folder.step not in part.steps and fits(part):
            part.steps[folder.step] = folder
            return
    parts.append(Part(folder.build_id, {folder.step: folder}))


def _put_export(parts: list[Part], folder: Found) -> None:
    """Beside the first build of its model; a second one of the same model is told, not shown."""
    fitting = [part for part in parts if folder.model and part.model == folder.model]
    for part in fitting:
        if "export" in part.steps:
            first = part.steps["export"].folder
            part.notes.append(f"{folder.folder} holds the same model as {first}: shown once")
            return
    if fitting:
        fitting[0].steps["export"] = folder
    else:
        parts.append(Part("", {"export": folder}))


def _put_training(parts: list[Part], folder: Found) -> None:
    """Beside the export that was made from it; a training that none was made from is left out."""
    for part in parts:
        export = part.steps.get("export")
        source = export.manifest.sources.get("model") if export else None
        if source is not None and source.sha256 == folder.digest:
            part.steps["train"] = folder
            return
    exports = [str(p.steps["export"].folder) for p in parts if "export" in p.steps]
    if parts:
        of = (
            f"is not what {' or '.join(exports)} was made from" if exports else "has no export here"
        )
        parts[0].notes.append(f"{folder.folder} {of}: left out")
    else:
        parts.append(Part("", {"train": folder}))


def _notes(part: Part) -> list[str]:
    """What the reader must know of steps that share a build and not all of their inputs."""
    notes = []
    run, tune = part.steps.get("run"), part.steps.get("tune")
    source = tune.manifest.sources.get("run") if tune else None
    if run and tune and source is not None and source.sha256 != run.digest:
        notes.append(
            f"the threshold in {tune.folder} was chosen on the answers of another run than "
            f"{run.folder}"
        )
    ran, tuned = part.content(RunResult), part.content(Tuned)
    if ran and tuned and tuned.result.deploy.threshold != ran.deployed.threshold:
        notes.append(
            f"the run's figures are at threshold {ran.deployed.threshold}, with which it ran; "
            f"the tuned threshold is {tuned.result.deploy.threshold}"
        )
    return notes
