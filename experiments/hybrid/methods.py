"""The methods of experiments/hybrid: split network, AppealNet, selective classifier, our own.

Each stage writes ``answers.npz``: per method the int8 score, the device's class and the cloud's
class, of the calibration and of the test split.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments import host_int8
from experiments.hybrid.cache import Stage
from experiments.hybrid.int8 import (
    Joined,
    Together,
    edge_facts,
    graph_of,
    graph_of_bytes,
    simple_scores,
    to_int8,
)
from experiments.hybrid.plan import LR
from experiments.hybrid.stages import LOOP, WEIGHTS, build_base, fit
from experiments.hybrid.world import World
from mcu_hybrid import mechanisms, nets
from mcu_hybrid.artifacts.train import TrainFacts
from mcu_hybrid.compiler.read.tflite import read_tflite
from mcu_hybrid.export import package
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.nets import checkpoint
from mcu_hybrid.training.baselines import appealnet, branchynet, loop, selective
from mcu_hybrid.training.train import train

ANSWERS = "answers.npz"
_EXPORT_IMAGES = 64  # that export itself measures; the benchmark measures all of them


def branch_stage(world: World, global_: Stage) -> Stage:
    """The split network: a branch on the global's first block, the rest fed with int8 features."""
    setting = world.setting

    def make(folder: Path) -> dict[str, Any]:
        torch.manual_seed(2)
        data = world.data
        net = nets.build("reference", data.shape, data.classes, setting.global_width, large=True)
        nets.load_weights(net, global_.folder / WEIGHTS)
        edge, rest = branchynet.split(net.eval(), data.shape, data.classes)
        loss = branchynet.BranchLoss(torch.as_tensor(world.y("fit")))
        epochs = setting.base_epochs  # the branch is new, as the base was
        fit(world, edge, folder / LOOP, "branch", loss, epochs, LR["base"], 0)
        macs = nets.count_macs(edge, data.shape)
        edge.with_cut = True
        file = to_int8(edge.cpu(), world.x("fit"), ["branch", "cut"])
        graph = graph_of(file)
        columns: dict[str, np.ndarray] = {}
        for split in ("calibration", "test"):
            logits, cloud = _through_the_cut(graph, rest.cpu().eval(), world.x(split))
            scores = simple_scores(graph, graph.outputs[0], logits)
            columns |= _columns("branchynet", split, scores["entropy"], logits.argmax(1), cloud)
        np.savez(folder / ANSWERS, **columns)
        cut = graph.tensor(graph.outputs[1])
        return {"query_bytes": cut.bytes, "edge": edge_facts(file), "macs": macs}

    settings = world.settings("base_epochs", "batch", rates=("base",))
    return world.cache.stage("branch", settings, (global_,), make)


def _through_the_cut(graph: Graph, rest: nn.Module, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(branch logits int8 [N, K], class that the cloud finds from the int8 features [N])."""
    quant = graph.tensor(graph.outputs[1]).require_quant()
    logits, cloud = [], []
    for branch, cut in host_int8.chunks(graph, x):
        features = (cut.astype(np.float32) - quant.zero_point) * np.float32(quant.scale)
        with torch.no_grad():
            cloud.append(rest(torch.as_tensor(features)).argmax(1).numpy())
        logits.append(branch)
    return np.concatenate(logits), np.concatenate(cloud)


def baselines_stage(world: World, global_: Stage, base: Stage, seed: int) -> Stage:
    """AppealNet with both boxes and the selective classifier, from the seed's base, in int8."""

    def make(folder: Path) -> dict[str, Any]:
        logits = _logits(global_)
        heads, told = [], {}
        for name, cloud in (("white", _cloud_loss(world, logits["fit"])), ("black", 0.0)):
            net, beta = _best_appeal(world, folder, base, logits, cloud, name, seed)
            heads.append(appealnet.fused(net))
            told[f"beta, {name} box"] = beta
        chosen = build_base(world, seed, base.folder / WEIGHTS)
        loss = selective.OneSided(torch.as_tensor(world.y("fit")), world.data.classes)
        rate, epochs = LR["tune"], world.setting.tune_epochs
        fit(world, chosen, folder / "osp.pt", "selective", loss, epochs, rate, seed)
        file = to_int8(Together([*heads, chosen]), world.x("fit"), list(_HEADS))
        graph = graph_of(file)
        columns: dict[str, np.ndarray] = {}
        for split in ("calibration", "test"):
            columns |= _head_columns(graph, world.x(split), split, logits[split].argmax(1))
        np.savez(folder / ANSWERS, **columns)
        return told

    settings = world.settings("tune_epochs", "betas", "batch", rates=("tune", "fresh"), seed=seed)
    return world.cache.stage(f"baselines {seed}", settings, (global_, base), make)


_HEADS = ("white", "white_accept", "black", "black_accept", "selective")


def _head_columns(
    graph: Graph, x: np.ndarray, split: str, cloud: np.ndarray
) -> dict[str, np.ndarray]:
    outputs = dict(zip(_HEADS, host_int8.run(graph, x), strict=True))
    found: dict[str, np.ndarray] = {}
    for box in ("white", "black"):
        score = -outputs[f"{box}_accept"][:, 0].astype(np.int64)
        edge = outputs[box].argmax(1)
        found |= _columns(f"appealnet, {box} box", split, score, edge, cloud)
    logits = outputs["selective"]
    score = simple_scores(graph, graph.outputs[4], logits)["max-prob"]
    return found | _columns("selective", split, score, logits.argmax(1), cloud)


def _cloud_loss(world: World, logits: np.ndarray) -> torch.Tensor:
    return appealnet.cloud_cross_entropy(torch.as_tensor(logits), torch.as_tensor(world.y("fit")))


def _best_appeal(
    world: World,
    folder: Path,
    base: Stage,
    logits: dict[str, np.ndarray],
    cloud: torch.Tensor | float,
    name: str,
    seed: int,
) -> tuple[appealnet.TwoHeads, float]:
    """AppealNet with the beta that is best on the router split, at the coverages of the table."""
    y, found = torch.as_tensor(world.y("fit")), []
    for beta in world.setting.betas:
        net = appealnet.two_heads(build_base(world, seed, base.folder / WEIGHTS), world.data.shape)
        loss = appealnet.AppealLoss(y, cloud, beta)
        kept = folder / f"{name}-{beta}.pt"
        epochs = world.setting.tune_epochs
        fit(world, net, kept, f"appealnet {name} {beta}", loss, epochs, LR["tune"], seed)
        found.append((_appeal_worth(world, net, logits["router"]), net.cpu(), beta))
    _, net, beta = max(found, key=lambda row: row[0])
    return net, beta


def _appeal_worth(world: World, net: nn.Module, cloud: np.ndarray) -> float:
    """Mean accuracy on the router split over the coverages .9 to .5, in float."""
    x, y = world.x("router"), world.y("router")
    both = Joined(net)
    out = loop.outputs(both, x)
    own, accept = out[:, :-1].argmax(1) == y, out[:, -1]
    right = own[np.argsort(-accept, kind="stable")]
    asked = (cloud.argmax(1) == y)[np.argsort(-accept, kind="stable")]
    kept = [round(c * len(y)) for c in (0.9, 0.8, 0.7, 0.6, 0.5)]
    return float(np.mean([right[:k].sum() + asked[k:].sum() for k in kept]) / len(y))


def method_stage(
    world: World, name: str, changes: dict[str, Any], global_: Stage, base: Stage, seed: int
) -> Stage:
    """One run of training/train.py from the base and the global, exported, measured in int8."""
    config = world.setting.config(
        seed, str(base.folder / WEIGHTS), str(global_.folder / WEIGHTS), **changes
    )

    def make(folder: Path) -> dict[str, Any]:
        trained, exported = folder / "train", folder / "export"
        facts = _train(config, world, trained)
        splits = checkpoint.load_splits(trained / checkpoint.SPLITS)
        _shorten(splits, trained)
        told = package.export_hybrid(trained, exported, graph_of_bytes)
        file = read_tflite((exported / package.MODEL).read_bytes(), name)
        graph = graph_of(file)
        net = checkpoint.load_hybrid(trained / checkpoint.CHECKPOINT).global_
        columns: dict[str, np.ndarray] = {}
        for split in ("calibration", "test"):
            columns |= _method_columns(graph, net, world.x(split), split)
        np.savez(folder / ANSWERS, **columns)
        (trained / checkpoint.SPLITS).unlink()
        accuracy = {"base_macs": facts.base_macs, "tflite_bytes": told.tflite_bytes}
        return accuracy | {"edge": edge_facts(file), "train_seconds": facts.seconds}

    settings = {k: v for k, v in config.to_json().items() if not k.endswith("_weights")}
    return world.cache.stage(
        f"method {seed} {name}", {"config": settings, "name": name}, (global_, base), make
    )


def _train(config: Any, world: World, folder: Path) -> TrainFacts:
    """Train, or go on with what was ended."""
    state = folder.with_name("state.pt")
    facts = train(
        config, world.data, folder, world.on_event, state_file=state, resume=state.is_file()
    )
    state.unlink(missing_ok=True)
    return facts


def _method_columns(
    graph: Graph, net: nn.Module, x: np.ndarray, split: str
) -> dict[str, np.ndarray]:
    """Every router's score that the exported model has, with its own global's answers."""
    names = [graph.tensor(i).name for i in graph.outputs]
    outputs = dict(zip(names, host_int8.run(graph, x), strict=True))
    cloud = loop.outputs(net, x).argmax(1)
    edge = outputs[names[0]].argmax(1)
    found: dict[str, np.ndarray] = {}
    for one in mechanisms.every():
        if one.output in outputs:
            score = outputs[one.output][:, one.column]
            found |= _columns(one.name, split, score, edge, cloud)
    return found


def _shorten(splits: checkpoint.Splits, folder: Path) -> None:
    """Leave export few images: its own measurement runs one at a time."""
    few = slice(0, _EXPORT_IMAGES)
    replace(
        splits,
        x_calibration=splits.x_calibration[few],
        y_calibration=splits.y_calibration[few],
        x_test=splits.x_test[few],
        y_test=splits.y_test[few],
    ).save(folder / checkpoint.SPLITS)


def _logits(stage: Stage) -> dict[str, np.ndarray]:
    with np.load(stage.folder / "logits.npz") as file:
        return {name: file[name] for name in file.files}


def _columns(
    method: str, split: str, score: np.ndarray, edge: np.ndarray, cloud: np.ndarray
) -> dict[str, np.ndarray]:
    arrays = {"score": score, "edge": edge, "cloud": cloud}
    return {f"{method}|{split}|{k}": np.asarray(v).astype(np.int64) for k, v in arrays.items()}
