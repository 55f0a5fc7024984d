"""Manifests: chained digests, stale folders refused by name, nothing half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid import manifest
from mcu_hybrid.errors import ManifestError


def write(target: Path, step: str, text: str, **sources: Path) -> None:
    with manifest.writing(target, step) as draft:
        (draft.folder / "data.txt").write_text(text)
        draft.facts["text"] = text
        draft.sources.update(sources)


def test_a_step_reads_what_another_wrote(tmp_path: Path) -> None:
    write(tmp_path / "train", "train", "one")
    write(tmp_path / "export", "export", "two", train=tmp_path / "train")
    loaded = manifest.load(tmp_path / "export", "export")
    assert loaded.facts["text"] == "two"
    assert loaded.sources["train"].path == "../train"


def test_an_altered_file_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "train", "train", "one")
    (tmp_path / "train" / "data.txt").write_text("changed")
    with pytest.raises(ManifestError, match=r"data\.txt.*stale"):
        manifest.load(tmp_path / "train")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "train", "train", "one")
    (tmp_path / "train" / "data.txt").unlink()
    with pytest.raises(ManifestError, match=r"data\.txt.*missing"):
        manifest.load(tmp_path / "train")


def test_a_newer_source_makes_the_step_stale(tmp_path: Path) -> None:
    write(tmp_path / "train", "train", "one")
    write(tmp_path / "export", "export", "two", train=tmp_path / "train")
    write(tmp_path / "train", "train", "three")
    with pytest.raises(ManifestError, match="source 'train'") as caught:
        manifest.load(tmp_path / "export")
    assert "mcu-hybrid export" in caught.value.hint


def test_the_wrong_step_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train", "train", "one")
    with pytest.raises(ManifestError, match="'train' folder, need 'export'"):
        manifest.load(tmp_path / "train", "export")


def test_a_failed_step_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "train", "train", "one")
    with pytest.raises(RuntimeError), manifest.writing(tmp_path / "train", "train") as draft:
        (draft.folder / "data.txt").write_text("half")
        raise RuntimeError
    assert manifest.load(tmp_path / "train").facts["text"] == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["train"]


def test_somebody_elses_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photo.txt").write_text("mine")
    with pytest.raises(ManifestError, match="will not overwrite"):
        write(tmp_path, "train", "one")
    assert (tmp_path / "photo.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 9, "step": "x"}', "\0"])
def test_a_broken_manifest_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        manifest.load(tmp_path)
