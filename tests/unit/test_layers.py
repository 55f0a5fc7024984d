"""The house rule of imports: down only, layer 3 never sideways, heavy packages in their place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

LAYERS = {
    5: {"cli", "__main__"},
    4: {"pipeline", "search", "session", "report"},
    3: {
        "training",
        "early_exit",
        "lowbit",
        "export",
        "codegen",
        "firmware",
        "flashers",
        "harness",
        "cloud",
        "tuning",
    },
    2: {"wire", "link", "nets", "ops", "routers", "emulate"},
    1: {
        "quant",
        "board",
        "board_types",
        "clock_tree",
        "latency",
        "strict_toml",
        "image",
        "image_parts",
        "query",
        "manifest",
        "tflite_file",
        "graph",
        "intervals",
    },
    0: {"errors", "extras", "folders", "json_text", "process", "resources", "templates"},
}
LAYER_OF = {part: layer for layer, parts in LAYERS.items() for part in parts}
# A graph is interpreted and verified by the operators' own rules: this edge goes up on purpose.
ALLOWED_UP = {("graph", "ops")}
HEAVY = {
    "torch": {"nets", "training", "early_exit", "lowbit", "export", "routers", "search"},
    "tensorflow": {"export"},
    "onnx2tf": {"export"},
    "fastapi": {"cloud"},
    "uvicorn": {"cloud"},
    "onnxruntime": {"cloud", "export", "training"},
    "tflite_micro": {"harness"},
    "ortools": {"codegen"},
    "optuna": {"search"},
    "ray": {"search"},
    "click": {"cli"},
    "rich_click": {"cli"},
}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            if node.module == "mcu_hybrid":
                yield from (f"mcu_hybrid.{alias.name}" for alias in node.names)


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    package = root / "mcu_hybrid"
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        if part != "__init__":
            yield part, path


def test_imports_go_down_only(root: Path) -> None:
    wrong = []
    for part, path in _modules(root):
        assert part in LAYER_OF, f"{path}: '{part}' has no layer; add it to the table"
        for name in _imports(path):
            if not name.startswith("mcu_hybrid."):
                continue
            other = name.split(".")[1]
            if other == part or other.startswith("__") or (part, other) in ALLOWED_UP:
                continue
            mine, theirs = LAYER_OF[part], LAYER_OF.get(other, 0)
            sideways = mine == theirs == 3
            if theirs > mine or sideways:
                wrong.append(f"{path.relative_to(root)} ({mine}) imports {name} ({theirs})")
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_stay_where_they_belong(root: Path) -> None:
    wrong = [
        f"{path.relative_to(root)} imports {name}"
        for part, path in _modules(root)
        for name in _imports(path)
        if name.split(".")[0] in HEAVY and part not in HEAVY[name.split(".")[0]]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_library_never_prints(root: Path) -> None:
    wrong = []
    for part, path in _modules(root):
        if part in {"cli", "__main__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "print":  # type: ignore[attr-defined]
                wrong.append(f"{path.relative_to(root)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)
