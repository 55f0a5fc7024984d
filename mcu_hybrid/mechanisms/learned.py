"""The learned router: two small layers of the model itself (nets/router_head.py trains them)."""

from __future__ import annotations

from mcu_hybrid.mechanisms.base import Mechanism, Style

MECHANISM = Mechanism(
    name="learned",
    id=1,
    title="router",
    style=Style("blue", "circle"),
    doc="G_query - G_keep of a trained network of two layers, int8",
    source="Kag et al., Efficient Edge Inference by Selective Query, ICLR 2023",
    scope="model",
)
