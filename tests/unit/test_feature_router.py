"""The router that reads the base's features: z of a network, the head, the file that is made."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mcu_hybrid import nets
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.program import program_of
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.compiler.router_cost import network_costs, router_costs
from mcu_hybrid.errors import InputError, ModelError, UnsupportedOp
from mcu_hybrid.export.link import Band
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets import router_head
from mcu_hybrid.nets.checkpoint import Hybrid, NetSpec, load_hybrid, save_hybrid
from mcu_hybrid.quant import QuantParams
from mcu_hybrid.reference import interp, learned_router
from mcu_hybrid.reference.images import to_int8
from mcu_hybrid.tflm import networks

torch = pytest.importorskip("torch")
nn = torch.nn

from mcu_hybrid.nets.penultimate import feature_count, with_features  # noqa: E402
from mcu_hybrid.nets.sight import Sight, float_scores  # noqa: E402
from mcu_hybrid.training.config import HybridConfig  # noqa: E402
from mcu_hybrid.training.router_train import Examples, fit_router  # noqa: E402

SHAPE, CLASSES = (8, 8, 1), 4
HALF = 0.1  # of the score's range


def flat_net() -> nn.Module:
    """z is a map of 3 x 4 x 4, laid out row by row."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, CLASSES)
    )


class Gated(nn.Module):
    """The last linear layer that is called is no classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(1, CLASSES, 8), nn.Linear(CLASSES, 1)

    def forward(self, x):
        logits = self.conv(x).flatten(1)
        return logits * torch.sigmoid(self.gate(logits))


@pytest.mark.parametrize(
    ("make", "count"),
    [(lambda: nets.reference_base(SHAPE, CLASSES, 8), 16), (flat_net, 48)],
)
def test_z_is_what_the_last_layer_reads(make, count):
    net = make().eval()
    assert feature_count(net, SHAPE) == count
    images = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        logits, z = with_features(net, SHAPE)(images)
        assert torch.equal(logits, net(images))
        assert torch.equal(logits, net[-1](z))
    assert z.shape == (5, count) and not net[-1]._forward_pre_hooks


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, CLASSES, 8), nn.Flatten()), "has no nn.Linear"),
        (Gated(), r"does not end in nn.Linear: the last one maps \[1, 4\] to \[1, 1\]"),
        (
            nn.Sequential(nn.Flatten(2), nn.Linear(64, CLASSES), nn.Flatten()),
            r"the last one maps \[1, 1, 64\]",
        ),
    ],
)
def test_networks_without_z_are_one_error(net, words):
    with pytest.raises(InputError, match=words) as refused:
        feature_count(net, SHAPE)
    assert refused.value.key == "router_inputs" and "top_k" in refused.value.hint


def trained(top: int, hidden: int, features: int):
    torch.manual_seed(top)
    head = router_head.build_head(top, hidden, features, dropout=0.5)
    head.train()
    for _ in range(20):
        head(torch.rand(64, 1 + top + features) * torch.linspace(2, 0.1, 1 + top + features))
    torch.nn.init.uniform_(head.fc3.weight, -1, 1)  # zero at the start
    return head.eval().double()


@pytest.mark.parametrize(("top", "features"), [(10, 64), (2, 3)])
def test_the_collapse_with_z_equals_the_trained_form(top, features):
    head = trained(top, 12, features)
    x = torch.rand(200, 1 + top + features, dtype=torch.float64)
    x[:, 1 : 1 + top] = x[:, 1 : 1 + top].sort(1, descending=True).values
    with torch.no_grad():
        gates = head(x).numpy()
    small = router_head.collapse(head)
    assert small.w1.shape == (12, 1 + top + features)
    np.testing.assert_allclose(small(x.numpy()), gates[:, 1] - gates[:, 0], rtol=1e-9, atol=1e-9)
    centers, widths = [0.3] * (1 + top), [0.2] * (1 + top)
    f = x.numpy().copy()
    f[:, : 1 + top] = (f[:, : 1 + top] - 0.3) / 0.2
    np.testing.assert_allclose(small.on_features(centers, widths)(f), small(x.numpy()), atol=1e-9)


def test_only_z_is_dropped_in_training():
    head = router_head.build_head(2, 4, 3, dropout=0.9).train()
    x = torch.rand(64, 6)
    seen = []
    head.fc1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(x)
    assert (seen[0][:, -3:] == 0).float().mean() > 0.6  # of z
    assert (seen[0][:, 0] == 0).float().mean() < 0.1  # the entropy is always there


def test_the_band_is_the_range_of_z_and_changes_no_score():
    quant = QuantParams((0.03,), (-128,))
    band = Band.of(quant)
    ends = np.round(band.place(np.array([-1.0, 1.0])) / quant.scale + quant.zero_point, 6)
    assert ends.tolist() == [-127.5, 126.5]
    head = router_head.collapse(trained(3, 5, 2))
    f = np.random.default_rng(0).uniform(-1, 1, (40, 6))
    placed = f.copy()
    placed[:, :4] = band.place(f[:, :4])
    np.testing.assert_allclose(band.head(head, 4)(placed), head(f), atol=1e-9)


def examples(count: int = 400) -> Examples:
    """The base is right where the first feature is small; its logits do not tell."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, CLASSES, count)
    wrong = rng.random(count) < 0.4
    base = rng.normal(0, 1, (count, CLASSES)).astype(np.float32)
    base[np.arange(count), np.where(wrong, (y + 1) % CLASSES, y)] += 6
    global_ = 5 * np.eye(CLASSES, dtype=np.float32)[y]
    z = rng.random((count, 16)).astype(np.float32)
    z[:, 0] += 2 * wrong
    return Examples(base, global_, y, z)


def test_a_router_learns_from_z_what_the_logits_do_not_say():
    config = HybridConfig(router_steps=150, router_inputs="features", router_hidden=8)
    data = examples()
    wrong = data.base.argmax(1) != data.y
    gaps = {}
    for inputs in ("features", "top_k"):
        parts, facts = fit_router(data, (-4.0, 10.0), replace(config, router_inputs=inputs))
        scores = parts.head(parts.sample.astype(np.float64))
        rng = np.random.default_rng(config.seed)
        order = rng.permutation(len(data.y))[:1024]
        above = scores[wrong[order]][:, None] > scores[~wrong[order]][None, :]
        gaps[inputs] = float(above.mean())
        assert facts.features == parts.features == (16 if inputs == "features" else 0)
        assert parts.sample.shape[1] == 1 + CLASSES + parts.features
    assert gaps["features"] > 0.9 and gaps["features"] > gaps["top_k"] + 0.2


def test_examples_without_z_are_refused():
    config = HybridConfig(router_inputs="features")
    with pytest.raises(ValueError, match="without the base's features"):
        fit_router(replace(examples(), z=None), (-4.0, 10.0), config)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"router_inputs": "z"}, "must be one of top_k, features"),
        ({"router_dropout": 1.0}, "below 1"),
    ],
)
def test_bad_options(change, words):
    with pytest.raises(InputError, match=words):
        HybridConfig(**change).check()


# --- the file


def hybrid_of(net: nn.Module) -> Hybrid:
    """An untrained base with a router that was fitted on nothing real."""
    count = feature_count(net, SHAPE)
    data = examples()
    z = np.tile(data.z, (1, -(-count // 16)))[:, :count]
    parts, _ = fit_router(
        replace(data, z=z),
        (-4.0, 10.0),
        HybridConfig(router_steps=5, router_inputs="features", router_hidden=6),
    )
    # An untrained base gives nearly the same for all images: spread its scores over the range.
    x = np.random.default_rng(1).integers(0, 256, (64, *SHAPE)).astype(np.uint8)
    w2 = np.random.default_rng(3).normal(0, 1, len(parts.head.w2))
    head = replace(parts.head, w2=w2)
    scores = float_scores(replace(parts, head=head), Sight(net, SHAPE, True).read(x)[:, CLASSES:])
    gain = HALF / np.ptp(scores)
    head = replace(head, w2=gain * w2, b2=float(gain * (head.b2 - scores.mean())))
    parts = replace(parts, head=head)
    spec = NetSpec("reference", 8)
    labels = tuple(str(n) for n in range(CLASSES))
    return Hybrid(net.eval(), net, spec, spec, parts, SHAPE, labels, {"coverage": 0.8})


def read(data: bytes, name: str) -> Graph:
    file = read_tflite(data, name)
    return run_passes(file.graph, file.metadata)


@pytest.fixture(scope="module")
def made():
    """(hybrid, images, file without link, band) of the reference base."""
    if find_spec("tensorflow") is None or find_spec("onnx2tf") is None:
        pytest.skip("the export packages are not installed")
    from mcu_hybrid.export import feature_router

    torch.manual_seed(2)
    hybrid = hybrid_of(nets.reference_base(SHAPE, CLASSES, 8))
    x = np.random.default_rng(3).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    converted, band = feature_router.make(hybrid, x, HALF, read)
    return hybrid, x, converted, band


def linked(made) -> tuple[bytes, Graph, dict]:
    from mcu_hybrid.export import link
    from mcu_hybrid.export import metadata as flat

    hybrid, _, converted, band = made
    content = link.hybrid_metadata(hybrid, read(converted.tflite, "m"), band)
    data = flat.with_metadata(converted.tflite, content)
    return data, read(data, "m"), content


def test_tflm_runs_the_file_with_identical_outputs(made):
    pytest.importorskip("tflite_micro")
    from mcu_hybrid.reference.judge import Judge

    data, graph, content = linked(made)
    judge = Judge(data, content)
    assert [graph.tensor(t).name for t in graph.outputs] == [
        "logits",
        "route_score",
        "route_scores",
    ]
    scores = set()
    for image in to_int8(graph, made[1]):
        ours, theirs = interp.run(graph, [image[None]]), judge.run([image[None]])
        assert [one.tobytes() for one in ours] == [other.tobytes() for other in theirs]
        scores.add(int(ours[1].ravel()[0]))
    assert len(scores) > 5


def test_the_int8_score_is_the_float_heads(made):
    """Against the head itself on the device's own int8 features and z: rounding is all."""
    hybrid, x, _, band = made
    _, graph, _ = linked(made)
    z = learned_router.base_features(graph)
    link_op = next(op for op in graph.ops if op.kind == "ROUTE_FEATURES")
    quant, score_quant = graph.tensor(z).require_quant(), None
    got, wanted = [], []
    count = len(hybrid.router.centers)
    head = band.head(hybrid.router.head, count)
    for image in to_int8(graph, x):
        values = interp.run(graph, [image[None]], keep=True)
        row = np.concatenate([values[link_op.outputs[0]].ravel(), values[z].ravel()])
        real = (row.astype(np.float64) - quant.zero_point) * quant.scale
        wanted.append(float(head(real[None])[0]))
        score_quant = graph.tensor(graph.outputs[1]).require_quant()
        got.append(float(values[graph.outputs[1]].ravel()[0]) * score_quant.scale)
    assert score_quant.zero_point == 0 and score_quant.scale == pytest.approx(2 * HALF / 255)
    got, wanted = np.array(got), np.clip(wanted, -HALF, HALF)
    assert np.abs(got - wanted).max() < 0.2 * np.ptp(wanted)


def test_costs_of_a_router_with_z(made):
    _, graph, _ = linked(made)
    rows = {row.router: row for row in router_costs(program_of(graph))}
    hidden = len(made[0].router.head.b1)
    inputs = 1 + CLASSES + 16
    assert rows["learned"].macs == hidden * inputs + hidden
    last = len([op for op in graph.ops if op.kind != "RESHAPE"])
    assert list(rows["learned"].layers) == list(range(last - 4, last))
    assert list(rows["entropy"].layers) == [last - 4]
    assert all(row.predicted_instructions is None for row in rows.values())
    by_network = {row.router: row for row in network_costs(graph, graph.ops)}
    assert by_network["learned"].macs == rows["learned"].macs
    plain = graph.with_(ops=tuple(op for op in graph.ops if op.kind == "CONV_2D"))
    assert router_costs(program_of(plain)) == ()


def test_the_engine_tflm_says_that_it_has_no_such_router(made):
    _, graph, _ = linked(made)
    with pytest.raises(UnsupportedOp, match="reads the base's features") as refused:
        networks.split(graph)
    assert "--engine aot" in refused.value.hint


def test_another_order_of_z_is_refused(made, monkeypatch):
    from mcu_hybrid.export import feature_router

    hybrid, x, _, _ = made
    _, graph, _ = linked(made)
    z = graph.producer(graph.outputs[0]).inputs[0]
    floats = feature_router._float_z(hybrid, x[:16])
    feature_router._require_same_order(graph, z, x[:16], floats)
    with pytest.raises(ModelError, match="in another order"):
        feature_router._require_same_order(graph, z, x[:16], floats[:, ::-1])


def test_a_checkpoint_keeps_the_router(made, tmp_path: Path):
    hybrid = made[0]
    save_hybrid(
        replace(hybrid, global_=nets.reference_global(SHAPE, CLASSES, 8)), tmp_path / "h.pt"
    )
    again = load_hybrid(tmp_path / "h.pt").router
    assert again.features == hybrid.router.features == 16
    np.testing.assert_array_equal(again.head.w1, hybrid.router.head.w1)


def test_z_that_is_a_map_keeps_the_networks_order():
    """The converter works NHWC: what it flattens must still be the network's NCHW."""
    if find_spec("tensorflow") is None or find_spec("onnx2tf") is None:
        pytest.skip("the export packages are not installed")
    from mcu_hybrid.export import feature_router

    torch.manual_seed(4)
    x = np.random.default_rng(5).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    converted, _ = feature_router.make(hybrid_of(flat_net()), x, 1.0, read)
    graph = read_tflite(converted.tflite, "m").graph
    assert graph.tensor(graph.outputs[1]).name == "route_score"
