"""Files and folders by their names: images, other files, and what systems hide among them."""

from __future__ import annotations

from pathlib import PurePosixPath

SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tga", ".jp2"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp", ".avif", ".pcx", ".mpo"),
)
# What lies beside pictures; a file of any other kind may be a picture to a person.
_TEXTS = (
    *(".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".py", ".ipynb", ".log"),
    *(".html", ".pdf", ".toml", ".ini", ".cfg", ".sh", ".npy", ".npz", ".mat", ".db", ".bib"),
)
_PLAIN_FILES = ("license", "readme", "makefile", "copying", "notice")
_SYSTEM_FOLDERS = (
    *("@eadir", "__macosx", "lost+found", "#recycle", "$recycle.bin", "__pycache__"),
    *("system volume information", "#snapshot", "@tmp", "@recycle"),
)
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r")
IMAGE, TEXT, UNREAD, HIDDEN = "image", "text", "unread", "hidden"


def kind_of(name: str) -> str:
    """IMAGE, TEXT (beside images), UNREAD (perhaps a picture, as .heic) or HIDDEN."""
    suffix = PurePosixPath(name).suffix.lower()
    if name.startswith(".") or name.lower() in _SYSTEM_FILES:
        return HIDDEN
    if suffix in SUFFIXES:
        return IMAGE
    return TEXT if suffix in _TEXTS or name.lower() in _PLAIN_FILES else UNREAD


def is_hidden_folder(name: str) -> bool:
    """Hidden, or made by a system: never a class."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS
