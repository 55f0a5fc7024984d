"""Links a project of the engine tflm with the user's TFLM checkout and library.

What the sources are is in tflm/generate.py, what a usable checkout is in tflm_tree.py; compiling is
build.py's, with TFLM's headers, definitions and library added.
"""

from __future__ import annotations

import re

from mcu_hybrid.board.load import Board
from mcu_hybrid.errors import MissingTool, ToolError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.firmware.build import build
from mcu_hybrid.firmware.render import Project
from mcu_hybrid.firmware.toolchain import Extra, program
from mcu_hybrid.image.firmware import FirmwareImage
from mcu_hybrid.process import INSTALL_HINTS, Tools
from mcu_hybrid.tflm.tree import Tflm

# The layout of TFLM's structures depends on the first; the others leave its messages out.
_DEFINES = ("-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS", "-DNDEBUG")
_NO_CXX_HEADERS = re.compile(r"fatal error: c?(algorithm|std\w+|string|new|utility|limits)(\.h)?:")


def build_tflm(
    project: Project,
    board: Board,
    tflm: Tflm,
    tools: Tools,
    *,
    on_event: OnEvent | None = None,
) -> FirmwareImage:
    """Compile and link; raises as ``build``, and MissingTool where C++ headers are missing."""
    try:
        return build(project, board, tools, extra=extra(tflm), on_event=on_event)
    except ToolError as error:
        if _NO_CXX_HEADERS.search(error.tail) is None:
            raise
        compiler = program(board, "g++")
        raise MissingTool(
            f"{compiler} has no C++ standard library",
            INSTALL_HINTS.get(compiler, "install the C++ library of this compiler"),
            argv=error.argv,
        ) from error


def extra(tflm: Tflm) -> Extra:
    """Flags that the checkout and the library ask for."""
    includes = [str(folder.resolve()) for folder in tflm.includes]
    kernels = ("-DCMSIS_NN",) if tflm.cmsis_nn else ()
    return Extra(
        cxx_flags=(
            *_DEFINES,
            *kernels,  # without it the headers turn int8 registrations into the general ones
            f"-ffile-prefix-map={tflm.root.resolve()}=tflm",
            *(flag for folder in includes for flag in ("-isystem", folder)),
        ),
        link=(str(tflm.library.resolve()), "-lm"),
    )
