"""Manifests: each step reads a folder with ``manifest.json`` and writes one; digests chain.

A step writes into a folder beside its target and moves it over at the end, so a failed step leaves
nothing half written. ``load`` checks every recorded file, and that the folder a step was made from
is still the one it was made from; what changed since is refused by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcu_hybrid import __version__, folders, json_text
from mcu_hybrid.errors import ManifestError

NAME = "manifest.json"
FORMAT = 2  # 2: with a digest of itself
STEPS = ("train", "export", "build", "bench", "run", "tune", "report")


def sha256_file(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Source:
    """What a step was made from: a step's folder (digest of its manifest) or a single file."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A step's record: what it read, what it wrote (relative path -> sha256), and its facts."""

    step: str
    sources: Mapping[str, Source] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    tool_version: str = __version__

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict, stable in its order; ``digest`` is of all the rest."""
        content = {
            "format": FORMAT,
            "step": self.step,
            "tool_version": self.tool_version,
            "sources": {
                name: {"path": s.path, "sha256": s.sha256} for name, s in self.sources.items()
            },
            "files": dict(sorted(self.files.items())),
            "facts": dict(self.facts),
        }
        return {**content, "digest": _digest(content)}


def _digest(content: Mapping[str, Any]) -> str:
    """Hex digest of a manifest's content, however it is laid out; its own ``digest`` left out."""
    plain = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(json.loads(json.dumps(plain)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Draft:
    """A step's folder while it is being written; fill ``facts`` and ``sources``."""

    folder: Path
    facts: dict[str, object] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)


def source_of(path: Path, target: Path) -> Source:
    """Record a source by a path relative to the step's folder, and its digest."""
    file = path / NAME if path.is_dir() else path
    return Source(os.path.relpath(path, target), sha256_file(file))


def check_target(target: Path, step: str) -> None:
    """Refuse what ``writing`` would refuse; for steps that work long before they write.

    Raises:
        ManifestError: ``target`` is neither new, empty, nor an earlier result of the same step; or
            it is the folder that the program was started in (it is replaced as a whole).
    """
    target = target.resolve()
    if Path.cwd().is_relative_to(target):
        raise ManifestError(
            "is the folder you are in, or above it; it would be replaced",
            f"name a folder inside it: --out {step}",
            path=target,
        )
    try:
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        found = json_text.loads((target / NAME).read_text())["step"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != step:
        what = f"a '{found}' folder" if found else "not empty and not one of ours"
        raise ManifestError(
            f"is {what}; '{step}' will not overwrite it", "choose another --out", path=target
        )


@contextmanager
def writing(target: Path, step: str) -> Iterator[Draft]:
    """Write a step's folder: yields a draft beside ``target``, moves it there on success.

    Raises:
        ManifestError: ``target`` holds something that is not an earlier result of this step.
    """
    target = target.resolve()
    check_target(target, step)
    made = [p for p in target.parents if not p.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside, held = folders.draft(target)
    except OSError as error:
        _remove_empty(made)
        raise _cannot_write(target, error) from error
    try:
        draft = Draft(beside)
        yield draft
        sources = {name: source_of(path, target) for name, path in draft.sources.items()}
        files = {
            str(p.relative_to(beside)): sha256_file(p)
            for p in sorted(beside.rglob("*"))
            if p.is_file() and p.name != NAME
        }
        manifest = Manifest(step, sources, files, draft.facts)
        (beside / NAME).write_text(json.dumps(manifest.to_json(), indent=1) + "\n")
        beside.chmod(0o755)
        try:
            folders.move_over(beside, target)
        except OSError as error:
            raise _cannot_write(target, error) from error
    except OSError as error:
        # Of a file that was open: the system does not say which.
        if error.errno not in folders.NO_ROOM or error.filename is not None:
            raise
        raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        os.close(held)
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Take back the parent folders that a failed step made, innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):  # not empty: the step succeeded, or another one uses it
            folder.rmdir()


def _cannot_write(target: Path, error: OSError) -> ManifestError:
    hint = "choose another --out"
    if error.errno in folders.NO_ROOM:
        hint = f"make room there and in {tempfile.gettempdir()}, or {hint}"
    return ManifestError(f"cannot be written: {error.strerror}", hint, path=target)


def read(folder: Path) -> Manifest:
    """Read a manifest without checking the files.

    Raises:
        ManifestError: there is none, or it is damaged or was changed by hand.
    """
    try:
        raw = json_text.loads((folder / NAME).read_text(encoding="utf-8"))
        return _parsed(raw, folder / NAME)
    except (FileNotFoundError, NotADirectoryError) as error:
        fact = "holds no manifest.json"
        if not folder.is_dir():
            fact = "is a file, not a step's folder" if folder.exists() else "does not exist"
        raise ManifestError(
            fact, "give the folder that a step wrote (--out)", path=folder
        ) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError(
            f"cannot be read ({error})", "run the step again", path=folder / NAME
        ) from error


def _parsed(raw: Any, path: Path) -> Manifest:
    """The manifest that a JSON value holds; Python's own errors where it is none."""
    if raw["format"] != FORMAT:
        raise ManifestError(
            f"has format {raw['format']!r}, this version reads {FORMAT}",
            "run the step again with this version",
            path=path,
        )
    step = _text(raw["step"])
    if raw["digest"] != _digest(raw):
        raise ManifestError(
            "was changed by hand after it was written; what it says cannot be relied on",
            f"run again: mcu-hybrid {step}",
            path=path,
        )
    sources = {
        name: Source(_text(s["path"]), _text(s["sha256"])) for name, s in raw["sources"].items()
    }
    files = {_inside(name): _text(digest) for name, digest in raw["files"].items()}
    facts = raw["facts"]
    if not isinstance(facts, dict):
        raise TypeError("facts is no object")
    return Manifest(step, sources, files, facts, _text(raw["tool_version"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _inside(name: str) -> str:
    """A recorded file's name; ValueError where it leads out of the folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise ValueError(f"'{name}' is outside the folder")
    return name


def load(folder: Path, *steps: str) -> Manifest:
    """Read and check a step's folder: right step, files unchanged, sources not newer.

    Raises:
        ManifestError: names the file or source that is stale, missing or altered.
    """
    manifest = read(folder)
    if steps and manifest.step not in steps:
        raise ManifestError(
            f"is a '{manifest.step}' folder, need '{' or '.join(steps)}'",
            f"give a folder written by: mcu-hybrid {steps[0]}",
            path=folder,
        )
    again = f"run again: mcu-hybrid {manifest.step}"
    for name, digest in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise ManifestError("is missing", again, path=file)
        if sha256_file(file) != digest:
            raise ManifestError("was changed after it was written (stale)", again, path=file)
    _check_sources(folder, manifest)
    return manifest


def _check_sources(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder whose source has changed, or a source's source, up to the first step."""
    for name, source in manifest.sources.items():
        path = (folder / source.path).resolve()
        file = path / NAME if path.is_dir() else path
        if not file.is_file():
            continue  # moved away, which is fine: folders travel
        if sha256_file(file) != source.sha256:
            raise ManifestError(
                f"is stale: its source '{name}' ({path}) has changed since",
                f"run again: mcu-hybrid {manifest.step}",
                path=folder,
            )
        if path.is_dir():
            _check_sources(path, read(path))
