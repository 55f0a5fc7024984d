"""Names of files to classes and splits: what a person sees in the folder, or a refusal by name.

The folders at the top are the classes and everything below one belongs to it, or they are splits
(``train``, ``test``, ...) with the classes inside, or each class holds the same splits. A folder
that could be read in two ways is refused. Names only: no file is opened here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from mcu_hybrid.errors import DataError
from mcu_hybrid.training.file_kinds import (
    HIDDEN,
    IMAGE,
    TEXT,
    UNREAD,
    is_hidden_folder,
    kind_of,
)
from mcu_hybrid.training.image_folders import STRAY, Folder, Found, Tree, descend, label_of
from mcu_hybrid.training.split_names import are_stages, is_part_name, sides, split_of

_LAYOUT = "expected CLASS/image.png, or train/CLASS/image.png and test/CLASS/image.png"


def read_tree(source: Path, names: Iterable[str], folders: Iterable[str] = ()) -> Tree:
    """Classes and splits of the files ``names`` ("a/b.png", relative to ``source``).

    Args:
        folders: all folders, so that an empty one is noticed.

    Raises:
        DataError: no images, one class, an empty class, or folders that can be read in two ways.
    """
    return _Reader(source).read(names, folders)


class _Reader:
    """One data source; collects what is left out and what is worth saying."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []

    def read(self, names: Iterable[str], folders: Iterable[str]) -> Tree:
        root = self._unwrapped(self._sorted_in(names, folders))
        self._stray(root.images)
        self._no_bare(root)
        splits = self._splits(root)
        found: list[Found] = []
        if splits:
            for folder, split in splits:
                self._stray(folder.images)
                self._no_bare(folder)
                found += self._classes(folder, split)
            self._same_classes(found)
        else:
            found = self._classes(root, "")
        self._names_apart({f.label for f in found})
        found.sort(key=lambda f: PurePosixPath(f.name).parts)
        return Tree(tuple(found), dict(self.left_out), tuple(self.notes))

    def refuse(self, fact: str, hint: str = _LAYOUT) -> DataError:
        return DataError(fact, hint, path=self.source)

    def _sorted_in(self, names: Iterable[str], folders: Iterable[str]) -> Folder:
        """The tree of what is visible; hidden and foreign files are counted."""
        root = Folder("")
        for name in folders:
            parts = PurePosixPath(name).parts
            if not any(is_hidden_folder(part) for part in parts):
                descend(root, parts)
        for name in names:
            *parents, last = PurePosixPath(name).parts
            hidden = next((part for part in parents if is_hidden_folder(part)), None)
            kind, suffix = kind_of(last), PurePosixPath(last).suffix.lower()
            if hidden is not None:
                self.left_out[f"in the hidden folder {hidden}"] += 1
            elif kind == HIDDEN:
                self.left_out["hidden files"] += 1
            elif kind == IMAGE:
                descend(root, parents).images.append(name)
            else:
                self.left_out[f"not read as images ({suffix or 'without a suffix'})"] += 1
                folder = descend(root, parents)
                folder.others += kind == TEXT
                folder.unread += kind == UNREAD
        return root

    def _unwrapped(self, root: Folder) -> Folder:
        """Down through folders that only wrap the data set (as zips have one)."""
        while len(root.filled()) == 1 and not root.bare():
            only = next(iter(root.filled().values()))
            if len(only.below) == 0 or (only.images and len(only.filled()) < 2):
                break
            if only.images:
                raise self.refuse(
                    f"has one folder, '{only.path}', with images in it and folders of images",
                    "give the folder that holds the class folders, and nothing else",
                )
            if split_of(PurePosixPath(only.path).name):
                self.notes.append(f"'{only.path}' is the only split: all images are divided anew")
            self._stray(root.images)
            root = only
        if root.path:
            self.notes.append(f"the classes are the folders in '{root.path}'")
        return root

    def _splits(self, root: Folder) -> list[tuple[Folder, str]]:
        """The split folders and what each is; none where the folders are classes."""
        filled = root.filled()
        kinds = {name: split_of(name) for name in filled}
        named = [name for name, kind in kinds.items() if kind]
        flat = not any(folder.filled() for folder in filled.values())
        if not named:
            self._no_disguised_splits(filled, flat)
            return []
        if flat and len(named) == 1 and len(filled) > 2:
            self.notes.append(f"'{named[0]}' is taken as a class: it lies among class folders")
            return []
        if len(named) < len(filled):
            others = ", ".join(f"'{name}'" for name in filled if not kinds[name])
            raise self.refuse(
                f"has the split {', '.join(repr(n) for n in named)} beside {others}: "
                "is that a class or another split?",
                "name splits train, val and test, and move everything else away",
            )
        if "train" not in kinds.values() or len(set(kinds.values())) == 1:
            raise self.refuse(
                f"has the splits {', '.join(sorted(named))}: which is to train on?",
                "name one train, and another test",
            )
        if len([k for k in kinds.values() if k == "train"]) > 1:
            raise self.refuse(
                f"has several splits to train on: {', '.join(sorted(named))}", "keep one"
            )
        roles = self._roles(kinds)
        return [(self._inside(filled[n], kinds[n]), roles[n]) for n in named]

    def _roles(self, kinds: Mapping[str, str]) -> dict[str, str]:
        """What each split folder is for; a validation split without a test split is one."""
        has_test = "test" in kinds.values()
        roles = {n: kind if has_test or kind == "train" else "test" for n, kind in kinds.items()}
        for role, told in (("test", "measured on"), ("val", "thresholds are chosen on")):
            names = sorted(name for name, found in roles.items() if found == role)
            note = f"{told}: {', '.join(names)}"
            if names and len(roles) > 2 and note not in self.notes:
                self.notes.append(note)
        return roles

    def _inside(self, folder: Folder, kind: str) -> Folder:
        """``train/train/CLASS`` and ``train/images/CLASS``: down to the classes."""
        filled = folder.filled()
        if not filled:
            raise self.refuse(f"images lie directly in '{folder.path}', in no class folder")
        if len(filled) == 1 and not folder.images:
            name, only = next(iter(filled.items()))
            if only.filled() and not only.images:
                if split_of(name) != kind:
                    self.notes.append(f"the classes are the folders in '{only.path}'")
                return self._inside(only, kind)
        return folder

    def _no_disguised_splits(self, filled: Mapping[str, Folder], flat: bool) -> None:
        """Refuse cat_train, cat_test and part1, part2, where a class is hidden in the splits."""
        seen: dict[tuple[str, ...], dict[str, str]] = {}
        for name in filled:
            for rest, kind in sides(name):
                seen.setdefault(rest, {})[kind] = name
        for kinds in seen.values():
            if "train" in kinds and len(kinds) > 1:
                raise self.refuse(
                    f"has folders that look like splits: {', '.join(sorted(kinds.values()))}",
                    "name them train and test, with the class folders inside",
                )
        if not flat and len(filled) > 1 and all(is_part_name(name) for name in filled):
            raise self.refuse(
                f"has parts, not classes, at the top: {', '.join(sorted(filled)[:4])}",
                "put the class folders at the top",
            )
        if are_stages(filled):
            raise self.refuse(
                f"has {', '.join(sorted(filled))} at the top, which are no classes",
                "give the folder that holds the class folders, and nothing else",
            )

    def _classes(self, root: Folder, split: str) -> list[Found]:
        """All images of the class folders in ``root``."""
        filled = root.filled()
        if split:
            self._no_splits_among(filled)
        if not filled:
            there = ", ".join(f"{n} {why}" for why, n in self.left_out.items())
            raise self.refuse("holds no images in class folders" + (there and f" ({there})"))
        inner = [name for name, f in filled.items() if any(map(split_of, f.filled()))]
        if inner and not split:
            return self._split_inside(filled, inner)
        found = []
        sub = Counter[str]()
        for name, folder in filled.items():
            self._no_splits_below(folder)
            found += [Found(i, label_of(name), split) for i in folder.every_image()]
            for nested, images in folder.filled().items():
                sub[nested] += len(images.every_image())
        if sub:
            told = ", ".join(list(sub)[:4]) + (", ..." if len(sub) > 4 else "")
            self.notes.append(
                f"{sum(sub.values())} images lie in folders below a class and count to it: {told}"
            )
        return found

    def _split_inside(self, filled: Mapping[str, Folder], inner: list[str]) -> list[Found]:
        """CLASS/train/x.png and CLASS/test/x.png, in all classes alike."""
        found: list[Found] = []
        roles: dict[str, str] = {}
        for name, folder in filled.items():
            kinds = {below: split_of(below) for below in folder.filled()}
            if folder.images or not kinds or not all(kinds.values()):
                raise self.refuse(
                    f"'{inner[0]}' holds splits ({', '.join(filled[inner[0]].filled())}), "
                    f"'{name}' has images beside or outside of them",
                    "keep the same splits in all classes, or put the splits at the top",
                )
            roles |= kinds
        roles = self._roles(roles)
        for name, folder in filled.items():
            for below, part in folder.filled().items():
                self._no_splits_below(part)
                found += [Found(i, label_of(name), roles[below]) for i in part.every_image()]
        self._same_classes(found)
        return found

    def _no_splits_among(self, filled: Mapping[str, Folder]) -> None:
        named = [name for name in filled if split_of(name)]
        flat = not any(folder.filled() for folder in filled.values())
        if named and not (flat and len(named) == 1 and len(filled) > 2):
            raise self.refuse(f"'{filled[named[0]].path}' is a split inside a split")

    def _no_splits_below(self, folder: Folder) -> None:
        for deep in folder.everything():
            named = deep is not folder and split_of(PurePosixPath(deep.path).name)
            if named and deep.every_image():
                raise self.refuse(
                    f"'{deep.path}' looks like a split, below the class '{folder.path}'",
                    "put splits at the top: train/CLASS/image.png and test/CLASS/image.png",
                )

    def _same_classes(self, found: list[Found]) -> None:
        """Each class needs images to train on; one without test images is told."""
        trained = {f.label for f in found if f.split == "train"}
        for split, images in (("test", "test images"), ("val", "validation images")):
            there = {f.label for f in found if f.split == split}
            if there - trained:
                raise self.refuse(
                    f"class '{min(there - trained)}' has {images} and none to train on",
                    "name the class folders alike in all splits",
                )
            if there and trained - there:
                told = ", ".join(f"'{label}'" for label in sorted(trained - there))
                self.notes.append(f"no {images} of {told}")

    def _no_bare(self, folder: Folder) -> None:
        for bare in folder.bare():
            unread = sum(f.unread for f in bare.everything())
            what = f"{unread} files of kinds that are not read" if unread else "nothing"
            raise self.refuse(
                f"folder '{bare.path}' among the classes holds {what}",
                "save its pictures as .png or .jpg, or remove the folder",
            )

    def _names_apart(self, labels: set[str]) -> None:
        seen: dict[str, str] = {}
        for label in sorted(labels):
            other = seen.setdefault(label.casefold(), label)
            if other != label:
                raise self.refuse(
                    f"classes '{other}' and '{label}' differ only in case", "join the two folders"
                )
        if len(labels) < 2:
            raise self.refuse(f"has only one class, '{min(labels)}'", "give at least two")

    def _stray(self, images: list[str]) -> None:
        if images:
            self.left_out[STRAY] += len(images)
