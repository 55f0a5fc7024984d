"""Manifests damaged by hand: whatever was changed, one clear error that names the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcu_hybrid import manifest
from mcu_hybrid.errors import ManifestError


def step(folder: Path) -> Path:
    """A folder as a step writes it, made from another one."""
    with manifest.writing(folder / "train", "train") as draft:
        (draft.folder / "data.txt").write_text("one")
    with manifest.writing(folder / "build", "build") as draft:
        (draft.folder / "model.tflite").write_text("two")
        draft.sources["model"] = folder / "train"
        draft.facts.update(board="mps2-an500", macs=3, share=0.1, nan=float("nan"), rows=[(1, 2)])
    return folder / "build"


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / manifest.NAME
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_another_layout_of_the_same_content_is_no_damage(tmp_path: Path) -> None:
    folder = step(tmp_path)
    edited(folder, lambda raw: None)
    assert manifest.load(folder, "build").facts["rows"] == [[1, 2]]


@pytest.mark.parametrize("key", ["step", "sources", "files", "facts", "tool_version", "digest"])
@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"a": 1}, [["a", "b"]], float("inf")])
def test_any_key_of_any_other_type(key: str, value: Any, tmp_path: Path) -> None:
    folder = step(tmp_path)
    edited(folder, lambda raw: raw.update({key: value}))
    with pytest.raises(ManifestError) as caught:
        manifest.load(folder, "build")
    assert str(folder / manifest.NAME) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("key", ["format", "step", "sources", "files", "facts", "digest"])
def test_any_missing_key(key: str, tmp_path: Path) -> None:
    folder = step(tmp_path)
    edited(folder, lambda raw: raw.pop(key) and None)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        manifest.read(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["facts"].pop("board"),
        lambda raw: raw["facts"].update(board=3),
        lambda raw: raw["facts"].update(macs=4),
        lambda raw: raw["sources"]["model"].pop("path"),
        lambda raw: raw["sources"]["model"].update(path="\0"),
        lambda raw: raw["files"].update({"../../etc/passwd": "0"}),
        lambda raw: raw["files"].clear(),
    ],
)
def test_a_changed_value_inside(change: Callable[[Any], Any], tmp_path: Path) -> None:
    folder = step(tmp_path)
    edited(folder, change)
    with pytest.raises(ManifestError, match="changed by hand") as caught:
        manifest.load(folder)
    assert caught.value.hint == "run again: mcu-hybrid build"


@pytest.fixture
def deep_recursion() -> Iterator[None]:
    """As some libraries leave it: the parser would then run into the end of the stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("deep_recursion")
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "\ufeff{}", "nul\0", "1" * 9999])
def test_text_that_json_cannot_take(text: str, tmp_path: Path) -> None:
    folder = step(tmp_path)
    (folder / manifest.NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.load(folder)
    (folder / manifest.NAME).write_bytes(b"\xff\xfe{\0")
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.load(folder)


def test_damage_is_found_in_a_source_too(tmp_path: Path) -> None:
    folder = step(tmp_path)
    edited(tmp_path / "train", lambda raw: raw["facts"].update(seed=1))
    with pytest.raises(ManifestError, match="source 'model'"):
        manifest.load(folder)
