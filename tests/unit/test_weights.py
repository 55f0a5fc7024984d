"""Weights as people save them are loaded whole, or the first name that does not fit is told."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from mcu_hybrid import nets
from mcu_hybrid.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn


def net() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


class Wrapped(nn.Module):  # type: ignore[misc]
    """As a LightningModule keeps its network."""

    def __init__(self) -> None:
        super().__init__()
        self.model = net()


def state(seed: int = 1) -> dict[str, Any]:
    torch.manual_seed(seed)
    return dict(net().state_dict())


def prefixed(prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in state().items()}


def inner() -> dict[str, Any]:
    """One layer of the network was compiled by itself."""
    return {key.replace("0.", "0._orig_mod."): value for key, value in state().items()}


@pytest.mark.parametrize(
    "saved",
    [
        state(),
        OrderedDict(state()),
        *(prefixed(p) for p in ("module.", "_orig_mod.", "model.", "net.", "backbone.")),
        *(prefixed(p) for p in ("module._orig_mod.", "_orig_mod.module.", "model._orig_mod.net.")),
        inner(),
        *({key: state(), "epoch": 3} for key in ("state_dict", "model_state_dict", "model")),
        {"state_dict": prefixed("model."), "loss": torch.ones(1), "lr": 1e-3},
        {"model": {"state_dict": prefixed("module.")}},
        {k: v for k, v in state().items() if not k.endswith("num_batches_tracked")},
        {k: v.double() for k, v in state().items()},
    ],
)
def test_it_is_loaded(saved: Any, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "w.pt")
    for made in (net(), nn.DataParallel(net()), Wrapped()):
        nets.load_weights(made, tmp_path / "w.pt")
        for got, wanted in zip(made.state_dict().values(), state().values(), strict=True):
            assert torch.equal(got, wanted)


def broken(**values: Any) -> dict[str, Any]:
    return state() | values


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"x": torch.zeros(3)}, "'0.weight' is missing, 'x' is not in the network"),
        ({k: v for k, v in state().items() if k != "4.bias"}, "'4.bias' is missing"),
        (broken(**{"5.weight": torch.zeros(3)}), "'5.weight' is not in the network"),
        (
            prefixed("model.") | {"criterion.weight": torch.zeros(3)},
            "'criterion.weight' is not in the network, which lies whole below 'model.'",
        ),
        (
            broken(**{"4.weight": torch.zeros(2, 16)}),
            r"'4.weight' has shape \(2, 16\), the network's \(3, 16\)",
        ),
        (broken(**{"4.bias": torch.tensor([0, float("nan"), 0])}), "'4.bias' holds NaN"),
        (broken(note="mine"), "'note' is str, not a tensor"),
        ([1, 2], "it holds list"),
        ({}, "it holds dict"),
        ({"state_dict": {}}, "it holds dict"),
        (Path("x"), r"holds Python objects besides weights \(pathlib"),
    ],
)
def test_it_is_refused_by_name(saved: Any, words: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "w.pt")
    made = net()
    before = {key: value.clone() for key, value in made.state_dict().items()}
    with pytest.raises(InputError, match=words) as told:
        nets.load_weights(made, tmp_path / "w.pt")
    assert "w.pt: is not a state dict of this network" in told.value.message and told.value.hint
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


def test_a_whole_network_and_a_cut_file(tmp_path: Path) -> None:
    torch.save(Wrapped(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="holds Python objects besides weights"):
        nets.load_weights(net(), tmp_path / "w.pt")
    torch.save(state(), tmp_path / "w.pt")
    (tmp_path / "w.pt").write_bytes((tmp_path / "w.pt").read_bytes()[:500])
    with pytest.raises(InputError, match="is not a state dict of this network"):
        nets.load_weights(net(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="does not exist"):
        nets.load_weights(net(), tmp_path / "gone.pt")
