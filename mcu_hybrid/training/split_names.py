"""Which folder names mean a split: ``Train``, ``test_set``, ``validation``, ``val2017``, ..."""

from __future__ import annotations

import re
from collections.abc import Iterable

_KINDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_FILLERS = ("dataset", "datas", "data", "set", "images", "image", "imgs", "img", "split", "samples")
_PARTS = (
    *("fold", "split", "part", "partition", "subset", "batch", "chunk", "shard", "set"),
    *("session", "subject", "recording", "take", "day", "user", "camera", "cam", "run", "site"),
)
# What pictures are, not what they show: beside each other they are no classes.
_STAGES = (
    *("images", "image", "imgs", "masks", "annotations", "labels", "original", "originals"),
    *("augmented", "augmentation", "raw", "processed", "cropped", "resized", "thumbnails"),
)
_PLAIN = ("images", "image", "imgs", "original", "originals", "raw")


def split_of(name: str) -> str:
    """ "train", "val" or "test" where the name says only that; else ""."""
    words = _words(name)
    return _KIND_OF.get(words[0], "") if len(words) == 1 else ""


def sides(name: str) -> list[tuple[tuple[str, ...], str]]:
    """What is left of ``cat_train`` without the split's word, and which split that is."""
    words = _words(name)
    return [
        (tuple(words[:at] + words[at + 1 :]), _KIND_OF[word])
        for at, word in enumerate(words)
        if word in _KIND_OF and len(words) > 1
    ]


def is_part_name(name: str) -> bool:
    """A numbered part of a data set: fold1, split_2, batch-03."""
    found = re.fullmatch(r"([a-z]+)[-_ ]?\d+", name.casefold())
    return found is not None and found[1] in _PARTS


def are_stages(names: Iterable[str]) -> bool:
    """Folders of the same pictures (images and masks, original and augmented), not of classes."""
    folded = {name.casefold() for name in names}
    return len(folded) > 1 and folded <= set(_STAGES) and not folded.isdisjoint(_PLAIN)


def _words(name: str) -> list[str]:
    """Words of a folder's name without fillers: "Test-Set", "testset" and "test2017" -> test."""
    words = []
    for word in re.findall(r"[^\W\d_]+", name.casefold()):
        for filler in _FILLERS:
            if word.endswith(filler) and word.removesuffix(filler) in _KIND_OF:
                word = word.removesuffix(filler)
        if word not in _FILLERS:
            words.append(word)
    return words or [name.casefold()]
