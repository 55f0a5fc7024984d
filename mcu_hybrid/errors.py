"""The error tree: every failure that is the user's to mend, with the fact and the next step.

    McuHybridError(message, hint)
      InputError(path, key)          a file or key that the user gave
        BoardError                   boards/*.toml
        ModelError                   a .tflite, .onnx or checkpoint
          UnsupportedOp              an operator we do not run
        ManifestError                a step's folder is stale, incomplete or of another kind
        DataError                    an image folder, zip, npz or module:function
      CapacityError(need, have)      does not fit the board
      TargetError(nearest)           no threshold meets the targets
      ToolError(argv, code, tail)    a program that we started failed
        MissingTool                  a program or Python package is not installed
      LinkError                      the serial link
        LinkTimeout                  no answer in time
        ProtocolError                an answer that makes no sense, or an error frame
      CloudError                     the model server
        CloudTimeout

Only ``cli/__init__.py`` catches McuHybridError (exit code 1). A traceback is always our bug.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class McuHybridError(Exception):
    """Base of all errors that carry a fact and a next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next step: {self.hint}" if self.hint else self.message


class InputError(McuHybridError):
    """Something that the user gave is not usable; names the file and the key in it."""

    def __init__(self, message: str, hint: str = "", *, path: object = None, key: str = "") -> None:
        where = ": ".join(str(part) for part in (path, key) if part)
        super().__init__(f"{where}: {message}" if where else message, hint)
        self.path = path
        self.key = key


class BoardError(InputError):
    """A board, chip or core file is wrong or unknown."""


class ModelError(InputError):
    """A model file is not what it should be."""


class UnsupportedOp(ModelError):
    """An operator, or an option of one, that the engine does not run."""


class ManifestError(InputError):
    """A step's folder is stale, incomplete, or of another step."""


class DataError(InputError):
    """A data set cannot be read or cannot be used."""


class CapacityError(McuHybridError):
    """A region of the board is too small; ``need`` and ``have`` are bytes."""

    def __init__(self, message: str, hint: str = "", *, need: int = 0, have: int = 0) -> None:
        super().__init__(message, hint)
        self.need = need
        self.have = have


class TargetError(McuHybridError):
    """No threshold meets the targets; ``nearest``: metric -> the nearest value that can be met."""

    def __init__(
        self, message: str, hint: str = "", *, nearest: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.nearest = dict(nearest or {})


class ToolError(McuHybridError):
    """A program that we started ended with an error; ``tail`` is the end of its output."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        argv: Sequence[str] = (),
        code: int | None = None,
        tail: str = "",
    ) -> None:
        super().__init__(f"{message}\n{tail}".rstrip() if tail else message, hint)
        self.argv = tuple(argv)
        self.code = code
        self.tail = tail


class MissingTool(ToolError):
    """A program or Python package is not installed; the hint is the exact install command."""


class LinkError(McuHybridError):
    """The serial link cannot be opened or broke."""


class LinkTimeout(LinkError):
    """No answer within the deadline."""


class ProtocolError(LinkError):
    """The board answered with an error frame or with something that is no answer."""


class CloudError(McuHybridError):
    """The model server refused, failed, or answered with something else.

    ``reason`` is one word for counting: unreachable, unauthorized, unknown_model, wrong_input,
    too_large, server_error, bad_answer, timeout, ...
    """

    def __init__(self, message: str, hint: str = "", *, reason: str = "failed") -> None:
        super().__init__(message, hint)
        self.reason = reason


class CloudTimeout(CloudError):
    """The model server did not answer within the deadline."""

    def __init__(self, message: str, hint: str = "", *, reason: str = "timeout") -> None:
        super().__init__(message, hint, reason=reason)
