"""Artefacts in a step's folder: the facts in its manifest, the results in files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mcu_hybrid import json_text, manifest
from mcu_hybrid.artifacts.codec import Artefact, from_json, to_json
from mcu_hybrid.errors import ManifestError
from mcu_hybrid.manifest import Manifest

A = TypeVar("A", bound=Artefact)


def facts(kind: type[A], folder: Path, found: Manifest | None = None) -> A:
    """The facts of a step's folder, which is checked (``found``: its manifest, checked already).

    Raises:
        ManifestError: another step's folder, a stale one, or facts that this version cannot read.
    """
    known = found or manifest.load(folder, kind.step)
    return from_json(kind, known.facts, folder / manifest.NAME, _again(kind))


def result(kind: type[A], folder: Path) -> A:
    """The result that a step wrote beside its manifest.

    Raises:
        ManifestError: it cannot be read, or not by this version.
    """
    path = folder / kind.file
    return from_json(kind, plain(path, _again(kind)), path, _again(kind))


def plain(path: Path, again: str) -> Mapping[str, Any]:
    """The object that a JSON file holds; ManifestError where it holds none."""
    try:
        found = json_text.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"cannot be read ({error})", f"run again: {again}", path=path
        ) from error
    if not isinstance(found, dict):
        raise ManifestError("is no result", f"run again: {again}", path=path)
    return found


def write(value: Artefact, folder: Path) -> None:
    """Write the file of an artefact that is one."""
    text = json.dumps(to_json(value), indent=1)
    (folder / value.file).write_text(text + "\n")


def _again(kind: type[Artefact]) -> str:
    return f"mcu-hybrid {kind.step}"
