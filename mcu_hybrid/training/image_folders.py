"""Image files as a tree of folders, and what was read of it; image_tree.py says what is a class."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

STRAY = "in no class folder"


@dataclass(frozen=True)
class Found:
    """An image file, its class and its split: "train", "test", "val" (beside "test") or ""."""

    name: str
    label: str
    split: str


@dataclass(frozen=True)
class Tree:
    """The images in the order of their names, how many files were left out and why, and remarks."""

    files: tuple[Found, ...]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass
class Folder:
    """Images directly in a folder, the folders below, and what else lies here."""

    path: str
    images: list[str] = field(default_factory=list)
    below: dict[str, Folder] = field(default_factory=dict)
    unread: int = 0
    others: int = 0

    def every_image(self) -> list[str]:
        return self.images + [i for folder in self.below.values() for i in folder.every_image()]

    def everything(self) -> Iterator[Folder]:
        yield self
        for folder in self.below.values():
            yield from folder.everything()

    def filled(self) -> dict[str, Folder]:
        """The folders here with images somewhere below."""
        return {name: f for name, f in self.below.items() if f.every_image()}

    def bare(self) -> list[Folder]:
        """Folders here that a person takes for a class and that hold no image that is read."""
        return [
            f
            for f in self.below.values()
            if not f.every_image()
            and (any(g.unread for g in f.everything()) or not any(g.others for g in f.everything()))
        ]


def descend(root: Folder, parts: Iterable[str]) -> Folder:
    """The folder at ``parts``, made where it is not there."""
    for part in parts:
        path = f"{root.path}/{part}" if root.path else part
        root = root.below.setdefault(part, Folder(path))
    return root


def label_of(name: str) -> str:
    """The class's name; macOS writes accents as characters of their own."""
    return unicodedata.normalize("NFC", name)
