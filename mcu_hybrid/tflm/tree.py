"""The user's own TFLM: a checkout (headers) and the static library built from it.

Checked before anything is compiled, so that a wrong folder, a library for another processor or one
without an operator is named as such, not as a page of linker output. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcu_hybrid.board.load import Board
from mcu_hybrid.errors import InputError, UnsupportedOp
from mcu_hybrid.firmware.arm_attributes import excess, make_arguments
from mcu_hybrid.image.firmware import Extra

# The layout of TFLM's structures depends on the first; the others leave its messages out.
_DEFINES = ("-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS", "-DNDEBUG")
_PROOF = Path("tensorflow/lite/micro/micro_interpreter.h")
# TFLM's Makefile downloads into the first, create_tflm_tree.py copies into the second.
_THIRD_PARTY = (Path("tensorflow/lite/micro/tools/make/downloads"), Path("third_party"))
_NEEDS = {
    "flatbuffers": Path("include/flatbuffers/flatbuffers.h"),
    "gemmlowp": Path("fixedpoint/fixedpoint.h"),
    "ruy": Path("ruy/profiler/instrumentation.h"),
}
_MAGIC, _THIN = b"!<arch>\n", b"!<thin>\n"
_MEMBER_BYTES = 60  # of a member's header in an archive of ar
_ELF_MACHINE = 18  # offset in the ELF header
_MACHINES = {"arm-none-eabi-": (40, "32-bit Arm")}  # EM_ARM
_INTERPRETER = "_ZN6tflite16MicroInterpreter"
_CMSIS_NN = "_ZN6tflite21Register_CONV_2D_INT8Ev"


@dataclass(frozen=True)
class Tflm:
    """A checked pair of TFLM checkout and library; ``includes`` are header folders."""

    root: Path
    library: Path
    includes: tuple[Path, ...]
    symbols: frozenset[str]
    sha256: str

    def describe(self) -> str:
        """One line that tells this library from any other."""
        kernels = "CMSIS-NN" if self.cmsis_nn else "TFLM's reference"
        return f"library sha256 {self.sha256[:32]}, {kernels} kernels"

    @property
    def cmsis_nn(self) -> bool:
        """True where the library was built with OPTIMIZED_KERNEL_DIR=cmsis_nn."""
        return _CMSIS_NN in self.symbols

    @property
    def extra(self) -> Extra:
        """Flags that the checkout and the library ask for."""
        includes = [str(folder.resolve()) for folder in self.includes]
        kernels = ("-DCMSIS_NN",) if self.cmsis_nn else ()
        return Extra(
            cxx_flags=(
                *_DEFINES,
                *kernels,  # without it the headers turn int8 registrations into the general ones
                f"-ffile-prefix-map={self.root.resolve()}=tflm",
                *(flag for folder in includes for flag in ("-isystem", folder)),
            ),
            link=(str(self.library.resolve()), "-lm"),
        )

    def require(self, kinds: Iterable[str]) -> None:
        """Raise UnsupportedOp where the library lacks an operator of the graph."""
        for kind in kinds:
            name = f"Register_{kind}"
            if not any(f"{len(name)}{name}Ev" in symbol for symbol in self.symbols):
                raise UnsupportedOp(
                    f"has no operator {kind}",
                    "build the library from a newer TFLM, or build with --engine aot",
                    path=self.library,
                )


def open_tflm(root: Path, library: Path, board: Board) -> Tflm:
    """Check a TFLM checkout and library for this board; raises InputError naming what is wrong."""
    root, library = Path(root), Path(library)
    if not (root / _PROOF).is_file():
        raise InputError(
            f"is not a TFLM checkout ({_PROOF} is missing)",
            "git clone https://github.com/tensorflow/tflite-micro, then --tflm-root tflite-micro",
            path=root,
        )
    includes = _includes(root)
    try:
        data = library.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}",
            "build it with: make -f tensorflow/lite/micro/tools/make/Makefile microlite",
            path=library,
        ) from error
    symbols = _symbols(data, library, board)
    return Tflm(root, library, includes, symbols, hashlib.sha256(data).hexdigest())


def _includes(root: Path) -> tuple[Path, ...]:
    found = [root]
    for name, proof in _NEEDS.items():
        folders = [root / base / name for base in _THIRD_PARTY]
        folder = next((f for f in folders if (f / proof).is_file()), None)
        if folder is None:
            raise InputError(
                f"has no {name} headers",
                "make -f tensorflow/lite/micro/tools/make/Makefile third_party_downloads",
                path=root,
            )
        found.append(folder / "include" if name == "flatbuffers" else folder)
    return tuple(found)


def _symbols(data: bytes, library: Path, board: Board) -> frozenset[str]:
    """The names in the archive's symbol table; raises InputError where it is not TFLM for Arm."""
    names = _archive_index(data)
    if names is None or not any(name.startswith(_INTERPRETER) for name in names):
        raise InputError(
            "is not TFLM's static library (no tflite::MicroInterpreter in it)",
            "give the libtensorflow-microlite.a that TFLM's Makefile built",
            path=library,
        )
    _require_processor(data, library, board)
    return names


def _archive_index(data: bytes) -> frozenset[str] | None:
    """Names of the GNU symbol table, the archive's first member; None where there is none."""
    if not data.startswith((_MAGIC, _THIN)) or data[len(_MAGIC) :][:2] != b"/ ":
        return None
    start = len(_MAGIC) + _MEMBER_BYTES
    try:
        size = int(data[len(_MAGIC) + 48 : len(_MAGIC) + 58])
        (count,) = struct.unpack_from(">I", data, start)
    except (ValueError, struct.error):
        return None
    names = data[start + 4 + 4 * count : start + size].split(b"\0")[:count]
    return frozenset(name.decode("ascii", "replace") for name in names)


def _first_object(data: bytes) -> bytes:
    """The first object that the symbol table points to; empty where there is none inside."""
    try:
        count, offset = struct.unpack_from(">II", data, len(_MAGIC) + _MEMBER_BYTES)
        size = int(data[offset + 48 : offset + 58])
    except (ValueError, struct.error):
        return b""
    found = data[offset + _MEMBER_BYTES :][:size] if count else b""
    return found if found.startswith(b"\x7fELF") else b""


def _require_processor(data: bytes, library: Path, board: Board) -> None:
    """Raise InputError where the library cannot run on the board's core."""
    wanted = _MACHINES.get(board.core.prefix)
    found = _first_object(data)
    if wanted is None or len(found) < _ELF_MACHINE + 2:
        return
    (machine,) = struct.unpack_from("<H", found, _ELF_MACHINE)
    if machine != wanted[0]:
        raise InputError(
            f"is for another processor (ELF machine {machine}), "
            f"{board.name} needs {wanted[1]} ({board.core.name})",
            f"build it with TARGET=cortex_m_generic {make_arguments(board.core)}",
            path=library,
        )
    fault = excess(data, library, board.core)
    if fault is not None:
        raise InputError(
            f"{fault}; {board.name} has {board.core.title}",
            f"build it with {make_arguments(board.core)} on TFLM's make line",
            path=library,
        )
