"""The ways out that a failed conversion names: one network of them all converts, and rightly."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcu_hybrid.errors import ModelError
from mcu_hybrid.export.onnx_words import WAYS

torch = pytest.importorskip("torch")
nn = torch.nn
SIDE, WIDTH = 8, 8


class _As(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.forward = function


def conv(inside: int = WIDTH, **how: Any) -> Any:
    return nn.Conv2d(inside, WIDTH, how.pop("kernel", 3), padding=how.pop("padding", 1), **how)


# What a hint says -> layers of it; every hint must hold one of these, and all are converted.
REPLACED = {
    "nn.BatchNorm2d": [conv(1), nn.BatchNorm2d(WIDTH), nn.ReLU()],
    "nn.ReLU": [conv(), nn.ReLU()],
    "nn.Hardswish": [conv(), nn.Hardswish()],
    "nn.SiLU": [conv(), nn.SiLU()],
    "nn.LeakyReLU": [conv(), nn.LeakyReLU()],
    "nn.Sigmoid": [conv(), nn.Sigmoid()],
    'nn.GELU(approximate="tanh")': [conv(), nn.GELU(approximate="tanh")],
    'padding_mode="zeros"': [conv(padding_mode="zeros"), nn.ReLU()],
    "nn.Conv2d with stride 2": [conv(stride=2), nn.ReLU()],
    'nn.Upsample(scale_factor=2, mode="nearest")': [nn.Upsample(scale_factor=2, mode="nearest")],
    'nn.Upsample(mode="nearest")': [conv(stride=2), nn.Upsample(size=(8, 8), mode="nearest")],
    "nn.AvgPool2d": [nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="nearest")],
    "nn.MaxPool2d without dilation": [nn.MaxPool2d(3, 1, 1), conv(), nn.ReLU()],
    "x * x": [conv(), _As(lambda x: x * x)],
    "nn.ELU()": [conv(), nn.ELU()],
    "multiply by its inverse": [conv(), _As(lambda x: x * (1 / 3)), nn.ReLU()],
    "slices with constant bounds": [_As(lambda x: x[:, 2:6]), conv(4), nn.ReLU()],
    "nn.Conv2d along the time axis": [
        conv(kernel=(3, 8), padding=(1, 0)),
        nn.ReLU(),
        conv(kernel=(3, 1), padding=(1, 0)),
        nn.ReLU(),
    ],
    "use convolutions": [conv(kernel=1, padding=0), nn.ReLU()],
    "end the network at its logits": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 2)],
}


def test_every_way_out_is_one_that_is_tried() -> None:
    for kind, (_, hint) in WAYS.items():
        assert any(words in hint for words in REPLACED), kind
        named = re.sub(r"in place of [^,]*|\(GroupNorm[^)]*\)", "", hint)
        layers = {layer for words in REPLACED for layer in re.findall(r"nn\.\w+", words)}
        assert set(re.findall(r"nn\.\w+", named)) <= layers | {"nn.Conv2d"}, kind


def test_they_convert(tmp_path: Path) -> None:
    if find_spec("tensorflow") is None or find_spec("onnx2tf") is None:
        pytest.skip("the export packages are not installed")
    from mcu_hybrid.steps.export import ExportOptions, export_step

    torch.manual_seed(0)
    net = nn.Sequential(*(layer for layers in REPLACED.values() for layer in layers))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (64, SIDE, SIDE, 1)).astype(np.uint8), np.arange(64) % 2
    np.savez(tmp_path / "data.npz", x=x, y=y)
    with torch.no_grad():  # statistics of these images, so that every layer has something to say
        net.train()(torch.from_numpy(x[..., 0])[:, None].float() / 255)
    path, example = tmp_path / "net.onnx", torch.zeros(1, 1, SIDE, SIDE)
    torch.onnx.export(net.eval(), example, str(path), dynamo=False, opset_version=17)
    facts = export_step(path, tmp_path / "out", ExportOptions(data=str(tmp_path / "data.npz")))
    assert not any("differs" in sentence for sentence in facts.warnings)
    noise = [layer.sqnr_db for layer in facts.layers if layer.sqnr_db is not None]
    assert len(noise) > 15 and np.median(noise) > 10


def test_the_product_that_stops_attention_is_named(tmp_path: Path) -> None:
    """Not the fully connected layers ahead of it, which are products too."""
    onnx = pytest.importorskip("onnx")
    from mcu_hybrid.export.onnx_words import in_the_users_words

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k = nn.Linear(SIDE, SIDE), nn.Linear(SIDE, SIDE)

        def forward(self, x: Any) -> Any:
            return self.q(x[:, 0]) @ self.k(x[:, 0]).transpose(1, 2)

    path = tmp_path / "net.onnx"
    torch.onnx.export(Attention().eval(), torch.zeros(1, 1, SIDE, SIDE), str(path), dynamo=False)
    with (
        pytest.raises(ModelError) as told,
        in_the_users_words(onnx.load(path), path),
    ):
        raise ModelError("operator 8 BATCH_MATMUL (layer 'x') is not supported", path=path)
    assert "its MatMul '/MatMul' cannot run" in told.value.message
    assert "attention" in (told.value.hint or "")


def test_a_fixed_batch_is_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from mcu_hybrid.export.onnx_file import image_input

    path = tmp_path / "net.onnx"
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2)).eval()
    torch.onnx.export(net, torch.zeros(8, 1, SIDE, SIDE), str(path), dynamo=False)
    with pytest.raises(ModelError, match="takes 8 images at once"):
        image_input(onnx.load(path), path, (SIDE, SIDE, 1), outputs=1)


def test_a_converter_that_crashes_is_said_to() -> None:
    from mcu_hybrid.export.tflite import _reason

    log = "Captures:\n  140426817738640: TensorSpec(shape=(3,), dtype=tf.float32, name=None)\n"
    assert _reason(log, -11) == "the converter crashed (Segmentation fault)"
    assert _reason(log + "ValueError: bad axis\n", -11) == "ValueError: bad axis"
