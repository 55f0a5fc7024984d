"""CloudClient: asks one model of any Open Inference Protocol v2 server.

Here is what is known of the model: its inputs are checked before anything travels, its outputs when
they come. How a request travels is a transport's (transports/); whether to ask at all, and what to
do without an answer, is a policy's (routing/policy.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

import numpy as np

from mcu_hybrid.cloud.oip import DTYPES, InferRequest, ModelMetadata
from mcu_hybrid.cloud.oip_tensors import TensorSpec, datatype_of
from mcu_hybrid.cloud.transports import Reach, Transport, open_transport
from mcu_hybrid.cloud.transports.base import CloudResult, Retries, bad_answer, wrong_input
from mcu_hybrid.errors import CloudError


class CloudClient:
    """One model of one server; usable from several threads."""

    def __init__(self, transport: Transport, model: str, *, version: str = "") -> None:
        """``version`` "" leaves the choice to the server."""
        self.model = model
        self._version = version
        self._transport = transport
        self._metadata: ModelMetadata | None = None

    @classmethod
    def open(
        cls,
        url: str,
        model: str,
        *,
        version: str = "",
        token: str | None = None,
        deadline_s: float = 2.0,
        retries: int = 2,
    ) -> CloudClient:
        """A client by the server's address; raises CloudError where it is none. Nothing is sent.

        Args:
            deadline_s: the total time of a call, retries included.
            retries: how often a server that is busy or away is asked again.
        """
        reach = Reach(url, token, deadline_s, Retries(retries))
        return cls(open_transport(reach), model, version=version)

    @property
    def url(self) -> str:
        """The server's base address."""
        return self._transport.url

    @property
    def deadline_s(self) -> float:
        """The total time of a call."""
        return self._transport.deadline_s

    def __enter__(self) -> CloudClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; the client may be used again."""
        self._transport.close()

    def is_live(self) -> bool:
        """True where the server runs; raises CloudError where nothing answers."""
        return self._transport.is_live()

    def is_ready(self) -> bool:
        """True where the model can be asked; raises CloudError where nothing answers."""
        return self._transport.is_ready(self.model, self._version)

    def metadata(self, until: float | None = None) -> ModelMetadata:
        """The model's inputs and outputs, asked once; raises CloudError (unknown model, ...)."""
        if self._metadata is None:
            with self._explained():
                self._metadata = self._transport.metadata(self.model, self._version, until)
        return self._metadata

    def models(self) -> tuple[str, ...]:
        """Names of the models that the server offers; empty where it has no such list."""
        return self._transport.models()

    def request_bytes(self, inputs: np.ndarray) -> int:
        """What a request for the model's only input weighs; raises CloudError as ``infer``."""
        return self._transport.request_bytes(self._request(inputs, self.metadata()))

    def infer(self, inputs: np.ndarray | Mapping[str, np.ndarray]) -> CloudResult:
        """Run the model once; a single array goes to the model's only input.

        Raises CloudTimeout at the deadline, CloudError on refusal, with the expected shape where
        that is what is wrong.
        """
        until = time.monotonic() + self.deadline_s
        request = self._request(inputs, self.metadata(until))
        with self._explained():
            result = self._transport.infer(request, until)
        self._check_types(result.outputs)
        return result

    def _request(
        self, inputs: np.ndarray | Mapping[str, np.ndarray], metadata: ModelMetadata
    ) -> InferRequest:
        """Check names, dtypes and shapes here, so that a mistake costs no transfer."""
        specs = {spec.name: spec for spec in metadata.inputs}
        if isinstance(inputs, np.ndarray):
            if len(specs) != 1:
                raise self._wrong_input(f"the model has {len(specs)} inputs: name them")
            inputs = {next(iter(specs)): inputs}
        if specs and set(inputs) != set(specs):
            raise self._wrong_input(f"inputs given: {', '.join(inputs)}")
        tensors = {
            name: self._fitted(array, specs[name]) if name in specs else array
            for name, array in inputs.items()
        }
        return InferRequest(tensors, model=self.model, version=self._version)

    def _fitted(self, array: np.ndarray, spec: TensorSpec) -> np.ndarray:
        """The array as the input takes it; raises CloudError where that would change it."""
        if not spec.accepts(array.shape):
            raise self._wrong_input(f"'{spec.name}' has shape {list(array.shape)}")
        # float64 to FP32 and the like loses nothing that matters; int to float may be a
        # forgotten scaling, so that is refused.
        if array.dtype.kind == "f" and spec.datatype in ("FP16", "FP32", "FP64"):
            array = array.astype(DTYPES[spec.datatype], copy=False)
        if datatype_of(array) != spec.datatype:
            raise self._wrong_input(f"'{spec.name}' is {datatype_of(array)}")
        return array

    def _check_types(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Refuse an output of another kind of type than the metadata tells."""
        told = {spec.name: spec.datatype for spec in self.metadata().outputs}
        for name, array in outputs.items():
            has, wanted = datatype_of(array), told.get(name, "")
            if wanted and has.strip("0123456789") != wanted.strip("0123456789"):
                fact = f"'{name}' is {has}, its metadata says {wanted}"
                raise bad_answer(self.url, self.model, fact)

    def _wrong_input(self, fact: str) -> CloudError:
        return wrong_input(self.url, self.model, fact, self._takes())

    def _takes(self) -> str:
        specs = self._metadata.inputs if self._metadata else ()
        takes = "; ".join(str(spec) for spec in specs)
        return f"the model takes {takes}" if takes else "see the model's documentation"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """A refusal gets the next step that takes knowledge of the model, or of the others."""
        try:
            yield
        except CloudError as error:
            if error.reason == "wrong_input":
                error.hint = self._takes()
            elif error.reason == "unknown_model":
                offered = ", ".join(self._transport.models(time.monotonic() + 1.0))
                error.hint = f"it offers: {offered}" if offered else "look up the model's name"
            raise
