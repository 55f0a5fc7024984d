"""Writes a firmware project: the engine's files, harness, kernels, platform, and board's numbers.

The project is a folder with ``src/`` inside that compiles with any gcc of the board's core. Written
beside its place and moved over at the end. Nothing is compiled here (``build.py``).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid import mechanisms, resources
from mcu_hybrid.board.load import Board
from mcu_hybrid.errors import BoardError, InputError, McuHybridError
from mcu_hybrid.firmware import toolchain
from mcu_hybrid.ops.route_features import KERNEL_WITH_OTHERS
from mcu_hybrid.templates import source_template
from mcu_hybrid.wire import layouts, messages

BUILD_INFO = "build_info.h"
SOURCES = (".c", ".h", ".S", ".cc")
ENGINES = {"aot": "MH_ENGINE_AOT", "tflm": "MH_ENGINE_TFLM"}


@dataclass(frozen=True)
class Project:
    """A rendered project; ``files`` are relative to ``root``, ``build_id`` is 32 hex digits."""

    root: Path
    build_id: str
    files: tuple[Path, ...]


def render_project(
    root: Path,
    board: Board,
    files: Mapping[str, str],
    *,
    kernels: Sequence[str] = (),
    engine: str = "aot",
) -> Project:
    """Write ``root/src`` anew; raises where ``src`` is there and was not written by us.

    Args:
        files: text of the engine's own files by name (``model.c`` ...), for ``src/model``.
        kernels: stems of the kernels that these call.
        engine: ``aot`` or ``tflm``, told to the host in the firmware's hello.
    """
    texts = dict(_texts(board, files, kernels, engine))
    build_id = _build_id(texts, board)
    texts[f"src/{BUILD_INFO}"] = _render(
        _common() / f"{BUILD_INFO}.j2", board, build_id=build_id, engine=ENGINES[engine]
    )
    root.mkdir(parents=True, exist_ok=True)
    target = root / "src"
    if target.exists() and not (target / BUILD_INFO).is_file():
        raise InputError(
            "is there and is not a firmware project", "choose another folder", path=target
        )
    with tempfile.TemporaryDirectory(prefix=".render-", dir=root) as name:
        for path, text in texts.items():
            file = Path(name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            shutil.rmtree(target)
        (Path(name) / "src").rename(target)
    return Project(root, build_id, tuple(Path(path) for path in sorted(texts)))


def kernel_files(stem: str, board: Board) -> tuple[Path, ...]:
    """The C and assembly of the fastest kernel of this name that the board's core can run."""
    found = resources.kernel_sources(stem, board.core.kernel_dirs)
    if not found:
        raise BoardError(
            f"no kernel {stem}.c in {', '.join(board.core.kernel_dirs)}",
            "add 'ref' to the core's kernel_dirs in boards/cores.toml",
            path=board.path,
        )
    return found


def _texts(
    board: Board, files: Mapping[str, str], kernels: Sequence[str], engine: str
) -> Iterator[tuple[str, str]]:
    """(path, text) of everything except build_info.h."""
    if engine not in ENGINES:
        raise McuHybridError(f"engine '{engine}' is unknown", f"one of: {', '.join(ENGINES)}")
    for name, text in files.items():
        yield f"src/model/{name}", text
    app = resources.root("firmware_templates") / "app"
    yield from _copies(app, "src/app")
    yield "src/app/mh_messages.h", messages.c_header()
    yield "src/app/mh_payloads.h", layouts.c_header()
    yield from _copies(resources.kernels() / "include", "src/kernels/include")
    if KERNEL_WITH_OTHERS in kernels:
        yield from _mechanisms()
    for path in resources.kernel_headers(kernels):
        yield f"src/kernels/include/{path.name}", path.read_text("utf-8")
    for path in [path for stem in kernels for path in kernel_files(stem, board)]:
        yield f"src/kernels/{path.name}", path.read_text("utf-8")
        for header in path.parent.glob("*.h"):
            yield f"src/kernels/{header.name}", header.read_text("utf-8")
    yield from _platform(board)


def _mechanisms() -> Iterator[tuple[str, str]]:
    """The C of plug-ins' scores, and the table by which the kernel asks them."""
    functions = mechanisms.c_files()
    template = source_template(resources.root("firmware_templates") / "app" / "mh_routes.c.j2")
    yield "src/kernels/mh_routes.c", template.render(functions=list(functions))
    for path in functions.values():
        yield f"src/kernels/mh_route_{path.name}", path.read_text("utf-8")


def _platform(board: Board) -> Iterator[tuple[str, str]]:
    """The platform's files over the common ones, and the board's numbers."""
    own = resources.root("firmware_templates") / "platforms" / board.platform
    found: dict[str, Path] = {}
    # A host has neither vectors nor a linker script: of the common files it takes the board's only.
    common = ["board_config.h.j2"] if board.is_host else [p.name for p in _common().iterdir()]
    for path in [*(_common() / name for name in common), *own.iterdir()]:
        found[path.name] = path
    for name in sorted(found.keys() - {f"{BUILD_INFO}.j2"}):
        path = found[name]
        if path.suffix == ".j2":
            yield f"src/platform/{path.stem}", _render(path, board)
        elif path.suffix in SOURCES:
            yield f"src/platform/{name}", path.read_text("utf-8")


def _copies(folder: Path, to: str) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        if path.suffix in SOURCES:
            yield f"{to}/{path.name}", path.read_text("utf-8")


def _build_id(texts: Mapping[str, str], board: Board) -> str:
    """First 16 bytes, as hex, of the sha256 over all sources and flags."""
    digest = hashlib.sha256()
    flags = (toolchain.c_flags(board), toolchain.c_flags(board, ""), toolchain.link_flags(board))
    for part in ("\0".join(group) for group in flags):
        digest.update(part.encode() + b"\0")
    for path in sorted(texts):
        content = texts[path].encode()
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:32]


def _common() -> Path:
    return resources.root("firmware_templates") / "platforms" / "common"


def _render(path: Path, board: Board, **values: object) -> str:
    return source_template(path).render(board=board, **values)
