"""Service: an inference request in, its response out. No web framework, no wire, no bytes.

What a server answers is settled here, once for all fronts (fronts/): which models there are, what
they take, what is refused. Tensors and messages are oip.py's, running the model is model.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcu_hybrid.cloud.model import MAX_BATCH, OnnxModel
from mcu_hybrid.cloud.oip import InferRequest, InferResponse, ModelMetadata
from mcu_hybrid.cloud.oip_tensors import OipError


@dataclass(frozen=True)
class Offered:
    """A model that can be asked."""

    name: str
    version: str


class Service(Protocol):
    """What a front needs. Methods may be called from several threads, and block.

    They raise OipError, whose status says whose fault it is: 404 for a model or version that is not
    offered, 400 for a request that does not fit it, 500 where the model failed.
    """

    def index(self) -> tuple[Offered, ...]:
        """The models that can be asked."""

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """What a model takes and gives."""

    def raw(self, body: bytes, model: str, version: str = "") -> InferRequest:
        """A request whose whole body is the model's only input."""

    def infer(self, request: InferRequest) -> InferResponse:
        """Run the model that the request names."""


class OneModel:
    """The service of a single open model, under one name."""

    def __init__(self, model: OnnxModel, name: str) -> None:
        self._model, self._name = model, name

    def index(self) -> tuple[Offered, ...]:
        """The one."""
        return (Offered(self._name, self._model.version),)

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """What it takes and gives; raises OipError(404) for any other."""
        self._find(model, version)
        return ModelMetadata(
            name=self._name,
            platform=self._model.platform,
            versions=(self._model.version,),
            inputs=self._model.inputs,
            outputs=self._model.outputs,
            limits={"max_batch_size": self._model.max_batch},
        )

    def raw(self, body: bytes, model: str, version: str = "") -> InferRequest:
        """``body`` as its only input, outputs in binary; raises OipError where it does not fit."""
        self._find(model, version)
        inputs = self._model.raw_input(body)
        return InferRequest(inputs, None, binary_default=True, model=model, version=version)

    def infer(self, request: InferRequest) -> InferResponse:
        """Run it; raises OipError for a request that does not fit, or where it fails."""
        self._find(request.model, request.version)
        outputs = self._model.infer(request.inputs, request.outputs)
        return InferResponse(outputs, self._name, self._model.version, request.id)

    def _find(self, model: str, version: str) -> None:
        if model != self._name:
            raise OipError(f"unknown model '{model}'; this server has '{self._name}'", 404)
        if version not in ("", self._model.version):
            raise OipError(
                f"model '{model}' has no version '{version}', only {self._model.version}", 404
            )


def open_service(path: Path, name: str, *, threads: int = 0, max_batch: int = MAX_BATCH) -> Service:
    """An ONNX file as a service; raises ModelError where it cannot be opened.

    Args:
        threads: threads per inference, 0 leaves it to onnxruntime.
        max_batch: inputs of one request, where the model takes any number; more are a 400.
    """
    return OneModel(OnnxModel(path, threads=threads, max_batch=max_batch), name)
