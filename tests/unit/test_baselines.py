"""Baselines of the comparison: their losses are the formulas, and each one learns its purpose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mcu_hybrid import nets  # noqa: E402
from mcu_hybrid.errors import InputError  # noqa: E402
from mcu_hybrid.training import accelerate  # noqa: E402
from mcu_hybrid.training.augment import Views  # noqa: E402
from mcu_hybrid.training.baselines import appealnet, branchynet, loop, selective  # noqa: E402

SHAPE = (8, 8, 1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blobs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of three classes by where they are bright; a fifth of them carries a wrong label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = rng.integers(0, 80, (count, *SHAPE)).astype(np.uint8)
    for i, label in enumerate(y):
        x[i, 2 * label : 2 * label + 2] += 150
    noisy = rng.random(count) < 0.2
    y = np.where(noisy, (y + 1) % 3, y)
    x[noisy, :, 7] = 255  # the mark by which a network can know that it errs
    return x, y


def small(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return nets.reference_base(SHAPE, 3, 4)


def test_appeal_loss_is_the_formula() -> None:
    y = torch.tensor([0, 2, 1])
    logits = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 3.0]])
    accept = torch.tensor([[1.0], [-2.0], [0.0]])
    cloud = torch.tensor([0.1, 0.2, 0.3])
    p = torch.softmax(logits, 1)[range(3), y]
    q = [1 / (1 + math.exp(-a)) for a in (1.0, -2.0, 0.0)]
    for given, values in ((cloud, [0.1, 0.2, 0.3]), (0.0, [0.0] * 3)):
        wanted = np.mean(
            [
                q[i] * -math.log(p[i]) + (1 - q[i]) * values[i] - 0.3 * math.log(q[i])
                for i in range(3)
            ]
        )
        loss = appealnet.AppealLoss(y, given, beta=0.3)
        assert float(loss((logits, accept), torch.arange(3))) == pytest.approx(wanted, rel=1e-5)
    order = torch.tensor([2, 0])
    half = appealnet.AppealLoss(y, cloud, 0.3)((logits[order], accept[order]), order)
    own = [q[i] * -math.log(p[i]) + (1 - q[i]) * cloud[i] - 0.3 * math.log(q[i]) for i in (2, 0)]
    assert float(half) == pytest.approx(float(np.mean(own)), rel=1e-5)


def test_white_box_spares_queries_that_the_cloud_gets_wrong() -> None:
    """With equal own loss the accept logit is pushed up more where the cloud's loss is large."""
    y, logits = torch.tensor([0, 0]), torch.zeros(2, 3)
    accept = torch.zeros(2, 1, requires_grad=True)
    cloud = torch.tensor([0.0, 2.0])
    appealnet.AppealLoss(y, cloud, 0.1)((logits, accept), torch.arange(2)).backward()
    assert accept.grad is not None
    gradient = accept.grad[:, 0]
    assert gradient[0] > 0 > gradient[1]  # query the first, keep the second


def test_appealnet_learns_where_it_errs() -> None:
    x, y = blobs(600)
    net = appealnet.two_heads(small(), SHAPE)
    loss = appealnet.AppealLoss(torch.as_tensor(y), 0.0, 0.3)
    losses = loop.fit(net, x, loss, loop.Schedule(12, 32, 1e-2), label="a")
    assert losses[-1] < losses[0]
    x, y = blobs(400, seed=1)
    with torch.no_grad():
        logits, accept = net(torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255)
        folded = appealnet.fused(net)(torch.as_tensor(x).permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(folded, (logits, accept), atol=1e-4, rtol=1e-4)
    clean = x[:, 0, 7, 0] != 255
    right = logits.argmax(1).numpy() == y
    assert right[clean].mean() > 0.9
    score = -accept[:, 0].numpy()
    wrong_first = np.mean(score[~right][:, None] > score[right][None, :])
    assert wrong_first > 0.6  # area under the curve of "errs" by the accept head


def test_one_sided_risks_are_means_over_own_and_other_images() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 1.0], [1.0, 0.0, 0.0]])
    y = torch.tensor([0, 1, 0, 1])
    p = torch.softmax(logits, 1)
    positive, negative = selective.one_sided_risks(logits, y)
    assert float(positive[0]) == pytest.approx(-(p[0, 0].log() + p[2, 0].log()).item() / 2)
    assert float(negative[0]) == pytest.approx(
        -((1 - p[1, 0]).log() + (1 - p[3, 0]).log()).item() / 2, rel=1e-4
    )
    assert float(positive[2]) == 0.0
    assert float(negative[2]) == pytest.approx(-(1 - p[:, 2]).log().mean().item(), rel=1e-4)


def test_multipliers_follow_the_constraints() -> None:
    y = torch.tensor([0, 1, 2] * 10)
    loss = selective.OneSided(y, 3)
    confused = torch.zeros(30, 3)
    for _ in range(50):
        loss(confused, torch.arange(30))
    assert (loss.lam > 1.0).all()  # negative risks far above their slacks
    certain = 20.0 * torch.nn.functional.one_hot(y, 3).float()
    before = loss.lam.clone()
    for _ in range(50):
        loss(certain, torch.arange(30))
    assert (loss.lam < before).all() and (loss.lam >= 0).all()
    assert (loss.eps >= 0).all() and float(loss.mu) >= 0


def test_selective_loss_trains_a_classifier() -> None:
    x, y = blobs(600)
    net = small()
    loop.fit(
        net, x, selective.OneSided(torch.as_tensor(y), 3), loop.Schedule(10, 32, 1e-2), label="s"
    )
    x, y = blobs(400, seed=1)
    clean = x[:, 0, 7, 0] != 255
    assert (loop.outputs(net, x).argmax(1) == y)[clean].mean() > 0.9


def test_the_split_network_is_the_global_cut_in_two() -> None:
    torch.manual_seed(0)
    net = nets.reference_global(SHAPE, 3, 4).eval()
    edge, rest = branchynet.split(net, SHAPE, 3)
    edge.eval().with_cut = True
    images = torch.rand(5, 1, 8, 8)
    with torch.no_grad():
        logits, cut = edge(images)
        torch.testing.assert_close(rest(cut), net(images))
    assert logits.shape == (5, 3) and cut.shape == (5, 4, 8, 8)
    with pytest.raises(InputError, match="cannot be cut after 99"):
        branchynet.split(net, SHAPE, 3, blocks=99)


def test_only_the_branch_is_trained() -> None:
    x, y = blobs(300)
    torch.manual_seed(0)
    net = nets.reference_global(SHAPE, 3, 4)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    edge, _ = branchynet.split(net, SHAPE, 3)
    loss = branchynet.BranchLoss(torch.as_tensor(y))
    losses = loop.fit(edge, x, loss, loop.Schedule(6, 32, 1e-2), label="b")
    assert losses[-1] < losses[0]
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, before[key], msg=key)


def test_an_ended_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    x, y = blobs(200)
    kept = tmp_path / "epochs.pt"
    targets = torch.as_tensor(y)

    def loss(logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, targets[at])

    schedule = loop.Schedule(4, 32, 1e-2, views=Views(), seed=3)
    whole, ended = small(), small()
    full = loop.fit(whole, x, loss, schedule, label="w")

    def stop(label: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(ended, x, loss, schedule, label="e", checkpoint=kept, on_event=stop)
    again = small(seed=9)
    losses = loop.fit(again, x, loss, schedule, label="e", checkpoint=kept)
    assert losses == pytest.approx(full)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, msg=key)


def test_hardware_is_plain_unless_asked_for() -> None:
    net, images = small().eval(), torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        plain = net(images)
        assert torch.equal(accelerate.forward(net, images), plain)
        with accelerate.on(accelerate.Hardware("cpu", bfloat16=True)):
            coarse = accelerate.forward(net, images)
        assert torch.equal(accelerate.forward(net, images), plain)
    assert coarse.dtype == torch.float32 and not torch.equal(coarse, plain)
    torch.testing.assert_close(coarse, plain, atol=0.1, rtol=0.1)
    both = accelerate.forward(appealnet.two_heads(net, SHAPE), images)
    assert isinstance(both, tuple) and [o.shape for o in both] == [(4, 3), (4, 1)]
