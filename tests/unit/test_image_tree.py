"""Folders to classes and splits: what a person sees there is trained, or it is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcu_hybrid.errors import DataError
from mcu_hybrid.training.image_folders import Tree
from mcu_hybrid.training.image_tree import read_tree


def tree(*names: str, folders: tuple[str, ...] = ()) -> Tree:
    return read_tree(Path("d"), names, folders)


def of(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{n}.png" for folder in folders for n in range(count)]


def seen(found: Tree) -> tuple[set[str], set[str]]:
    """Classes, and the first folders of the test images."""
    return {f.label for f in found.files}, {
        f.name.split("/")[0] for f in found.files if f.split == "test"
    }


@pytest.mark.parametrize("wrapper", ["", "set/", "a/b/"])
def test_everything_below_a_class_belongs_to_it(wrapper: str) -> None:
    parts = ("cat/morning", "cat/evening", "dog/morning", "dog/evening/late", "owl")
    found = tree(*of(*(wrapper + part for part in parts)))
    assert seen(found) == ({"cat", "dog", "owl"}, set()) and len(found.files) == 15
    assert any("12 images lie in folders below a class" in note for note in found.notes)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *[("train", "test"), ("Train", "Test"), ("TRAIN", "VAL"), ("training", "testing")],
        *[("training_set", "test_set"), ("trainset", "testset"), ("train2017", "val2017")],
        *[("Training Images", "Validation Images"), ("train", "valid"), ("train", "eval")],
        *[("train", "dev"), ("train-data", "test-data")],
    ],
)
@pytest.mark.parametrize("form", ["{split}/{label}", "set/{split}/{label}", "{label}/{split}"])
def test_splits_by_their_usual_names(train: str, test: str, form: str) -> None:
    places = {
        split: [form.format(split=split, label=label) for label in ("cat", "dog")]
        for split in (train, test)
    }
    found = tree(*of(*places[train], *places[test]))
    assert {f.label for f in found.files} == {"cat", "dog"}
    for file in found.files:
        held = file.name.rpartition("/")[0] in places[test]
        assert file.split == ("test" if held else "train"), file


@pytest.mark.parametrize("form", ["{split}/{label}", "{label}/{split}"])
def test_val_beside_test_is_for_thresholds_and_it_is_said(form: str) -> None:
    splits = {"Train": "train", "valid": "val", "dev": "val", "testing": "test"}
    found = tree(*of(*(form.format(split=s, label=c) for s in splits for c in "ab")))
    assert all(splits[s] == f.split for f in found.files for s in f.name.split("/") if s in splits)
    assert "measured on: testing" in found.notes
    assert "thresholds are chosen on: dev, valid" in found.notes


def test_a_split_inside_itself_as_some_archives_have_it() -> None:
    found = tree(*of(*(f"{s}/{s}/{c}" for s in ("training_set", "test_set") for c in "ab")))
    assert seen(found) == ({"a", "b"}, {"test_set"})


def test_a_folder_of_images_inside_each_split() -> None:
    found = tree(*of(*(f"{s}/images/{c}" for s in ("train", "valid") for c in "ab")))
    assert seen(found) == ({"a", "b"}, {"valid"})
    with pytest.raises(DataError, match="only one class, 'images'"):  # names of boxes, not classes
        tree(*of("train/images", "valid/images"), "train/labels/0.txt")


def test_what_is_there_is_named_where_no_image_is() -> None:
    with pytest.raises(DataError, match=r"no class folder|without a suffix\)"):
        tree("0.png", "1.png")
    with pytest.raises(DataError, match=r"holds no images in class folders \(2 in the hidden"):
        tree(".a/0.png", ".a/1.png")


def test_a_class_may_be_called_train_among_others() -> None:
    found = tree(*of("bus", "car", "train"))
    assert seen(found) == ({"bus", "car", "train"}, set())
    assert any("'train' is taken as a class" in note for note in found.notes)
    assert seen(tree(*of("crash_test", "train_station")))[0] == {"crash_test", "train_station"}


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("train/a", "train/b", "holdout/a", "holdout/b"), "beside 'holdout'"),
        (("train/a", "train/b", "test/a", "test/b", "extra/a"), "beside 'extra'"),
        (("train", "holdout"), "beside 'holdout'"),
        (("val/a", "val/b", "test/a", "test/b"), "which is to train on"),
        (("train/a", "train/b", "training/a", "training/b"), "which is to train on"),
        (("train1/a", "train2/a", "test/a", "test/b"), "several splits to train on"),
        (("train/a", "train/b", "test"), "images lie directly in 'test'"),
        (("train", "test"), "images lie directly in 'train'"),
        (("train/a", "train/b", "test/a", "test/c"), "class 'c' has test images and none to train"),
        (("train/Cat", "train/dog", "test/cat", "test/dog"), "class 'cat' has test images"),
        (("cat_train", "cat_test", "dog_train", "dog_test"), "look like splits: cat_test"),
        (("seg_train/a", "seg_train/b", "seg_test/a"), "look like splits: seg_test, seg_train"),
        (("fold1/a", "fold1/b", "fold2/a", "fold2/b"), "parts, not classes"),
        (("a/train", "a/test", "b"), "'a' holds splits"),
        (("a/train", "a/test", "b/day"), "'a' holds splits"),
        (("a/day/test", "a/day/train", "b/day"), "'a/day/test' looks like a split"),
        (("train/a/test", "train/b", "test/a", "test/b"), "'train/a/test' looks like a split"),
        (("train/a", "train/test", "test/a", "test/test"), "a split inside a split"),
        (("Cat", "cat"), "differ only in case"),
        (("cat", "cat/old"), "has one folder, 'cat'|only one class, 'cat'"),
        (("cat", "cat/old", "cat/new"), "has one folder, 'cat'"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(folders: tuple[str, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        tree(*of(*folders))


def test_hidden_folders_and_files_are_no_classes_and_are_counted() -> None:
    found = tree(
        *of("cat", "dog", "cat/.ipynb_checkpoints", ".Trash/x", "@eaDir/cat", "__MACOSX/cat"),
        *("cat/._0.png", "dog/.DS_Store", "dog/Thumbs.db", "dog/notes.txt", "readme.md", "top.png"),
        "dog/phone.HEIC",
    )
    assert seen(found)[0] == {"cat", "dog"} and len(found.files) == 6
    assert found.left_out == {
        "in the hidden folder .ipynb_checkpoints": 3,
        "in the hidden folder .Trash": 3,
        "in the hidden folder @eaDir": 3,
        "in the hidden folder __MACOSX": 3,
        "hidden files": 3,
        "not read as images (.txt)": 1,
        "not read as images (.md)": 1,
        "in no class folder": 1,
        "not read as images (.heic)": 1,
    }


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(DataError, match="folder 'owl' among the classes holds nothing"):
        tree(*of("cat", "dog"), folders=("cat", "dog", "owl"))
    with pytest.raises(DataError, match=r"folder 'owl' .* 3 files of kinds that are not read"):
        tree(*of("cat", "dog"), *(f"owl/{n}.heic" for n in range(3)))
    with pytest.raises(DataError, match=r"folder 'owl' .* 3 files of kinds that are not read"):
        tree(*of("cat", "dog"), *(f"owl/{n}" for n in range(3)))
    with pytest.raises(DataError, match=r"folder 'test' .* nothing"):
        tree(*of("train/a", "train/b"), folders=("train", "test"))
    found = tree(*of("cat", "dog"), "annotations/1.xml", folders=("cat", "dog", "annotations"))
    assert seen(found)[0] == {"cat", "dog"} and found.left_out == {"not read as images (.xml)": 1}


def test_a_class_without_test_images_is_told() -> None:
    found = tree(*of("train/a", "train/b", "test/a"))
    assert "no test images of 'b'" in found.notes


def test_accents_are_the_same_letters_however_they_are_written() -> None:
    found = tree(*of("train/bl\u00e5", "train/x", "test/bla\u030a", "test/x"))
    assert seen(found)[0] == {"bl\u00e5", "x"}


def test_the_only_split_is_divided_anew() -> None:
    found = tree(*of("set/test/a", "set/test/b"))
    assert seen(found) == ({"a", "b"}, set())
    assert any("is the only split" in note for note in found.notes)
