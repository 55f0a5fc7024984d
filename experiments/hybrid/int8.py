"""From trained networks to the device's integers: conversion, simple scores, costs on the board."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.hybrid.plan import BOARD
from mcu_hybrid import mechanisms
from mcu_hybrid.board.load import load_board
from mcu_hybrid.compiler.engine import EngineOptions
from mcu_hybrid.compiler.passes import run_passes
from mcu_hybrid.compiler.read.tflite import ModelFile, read_tflite
from mcu_hybrid.compiler.report import weights_bytes
from mcu_hybrid.engines.compile import compile_graph
from mcu_hybrid.export import link
from mcu_hybrid.export.heads import write_heads
from mcu_hybrid.export.onnx import IMAGE
from mcu_hybrid.export.tflite import convert
from mcu_hybrid.graph.types import Graph
from mcu_hybrid.machines import price
from mcu_hybrid.ops import route_features

_FIT_SAMPLE = 300  # images for the converter's ranges


class Together(nn.Module):
    """Networks side by side on one image: one conversion, and one pass over the splits."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part.cpu() for part in parts)

    def forward(self, image: Any) -> Any:
        """All outputs, in order."""
        made: list[Any] = []
        for part in self.parts:
            out = part(image)
            made += out if isinstance(out, tuple) else [out]
        return tuple(made)


class Joined(nn.Module):
    """Two outputs [N, K] and [N, 1] as one [N, K + 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Any) -> Any:
        """The outputs side by side."""
        return torch.cat(self.net(image), dim=1)


def to_int8(net: nn.Module, fit: np.ndarray, outputs: list[str]) -> ModelFile:
    """Convert a network with these outputs; ranges from some of these uint8 NHWC images."""
    some = np.random.default_rng(0).permutation(len(fit))[:_FIT_SAMPLE]
    rows = link.with_extremes(fit[np.sort(some)].astype(np.float32) / 255)
    height, width, channels = fit.shape[1:]
    with tempfile.TemporaryDirectory(prefix="mcu-hybrid-") as name:
        path = Path(name) / "heads.onnx"
        write_heads(net.eval(), (height, width, channels), outputs, path)
        made = convert(path, {IMAGE: rows}, outputs)
    return read_tflite(made.tflite, "heads")


def simple_scores(graph: Graph, tensor: int, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Entropy, max-prob and margin of int8 logits, the integers that the device computes."""
    n = 1 + route_features.top_of(logits.shape[1])
    scale = float(graph.tensor(tensor).require_quant().scale)
    attrs = route_features.make_attrs(logits.shape[1], scale, [0.0] * n, [1.0] * n, 1 / 127, 0)
    names = (one.name for one in mechanisms.of_logits())
    return dict(zip(names, route_features.scores(attrs, logits).T, strict=True))


def edge_facts(file: ModelFile) -> dict[str, Any]:
    """What the device's part costs on the budget's board: instructions, arena, weights."""
    board = load_board(BOARD)
    graph = graph_of(file)
    program = compile_graph(graph, board, EngineOptions()).program
    return {
        "instructions": program.instructions,
        "arena_bytes": program.plan.arena_bytes,
        "weights_bytes": weights_bytes(program),
    }


def edge_ms(edge: Mapping[str, Any]) -> dict[str, float | None]:
    """The time of ``edge_facts``: what is kept are instructions, priced when they are read."""
    time = price.estimate(load_board(BOARD), edge["instructions"])
    return dict(zip(("edge_ms", "edge_low_ms", "edge_high_ms"), time.board_ms(), strict=True))


def graph_of(file: ModelFile) -> Graph:
    """The graph that the device runs."""
    return run_passes(file.graph, file.metadata)


def graph_of_bytes(data: bytes, name: str) -> Graph:
    """``graph_of`` of a file's bytes."""
    return graph_of(read_tflite(data, name))
