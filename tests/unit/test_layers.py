"""The house rule of imports: down only, never sideways; heavy packages in their rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FLOORS = (
    "errors events extras folders intervals json_text manifest plugins process quant resources "
    "templates tflite_file",
    "board graph artifacts mechanisms",
    "ops wire link cloud image",
    "reference device machines routing",
    "compiler firmware flashers nets doctor",
    "tflm engines bench training export exits lowbit",
    "search report fleet",
    "steps",
    "api cli",
    "__main__",
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
GROUND = 0  # its files may import each other: they are no rooms
# Beside the package, above it: who may use whom. Tests may use all of them.
BESIDE = {"benchmarks": set(), "experiments": set(), "tools": {"tests.support"}}
TORCH_ROOMS = {"nets", "training", "exits", "lowbit", "export", "search"}
HEAVY = {
    "torch": TORCH_ROOMS,
    "tensorflow": {"export"},
    "onnx2tf": {"export"},
    "fastapi": {"cloud"},
    "uvicorn": {"cloud"},
    "onnxruntime": {"cloud", "export", "training"},
    "tflite_micro": {"reference"},
    "ortools": {"compiler"},
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
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room != "__init__":
            yield room, path


def test_imports_go_down_only(root: Path) -> None:
    wrong = []
    for room, path in _modules(root):
        assert room in FLOOR_OF, f"{path}: '{room}' has no floor; add it to the table"
        for name in _imports(path):
            if not name.startswith("mcu_hybrid."):
                continue
            other = name.split(".")[1]
            if other == room or other.startswith("__"):
                continue
            mine, theirs = FLOOR_OF[room], FLOOR_OF.get(other, GROUND)
            if theirs > mine or mine == theirs != GROUND:
                wrong.append(f"{path.relative_to(root)} ({mine}) imports {name} ({theirs})")
    assert not wrong, "\n".join(wrong)


def test_what_stands_beside_the_package(root: Path) -> None:
    """The package knows none of them, and they know of each other what the table says."""
    wrong = []
    for room, path in _modules(root):
        for name in _imports(path):
            if name.split(".")[0] in {*BESIDE, "tests"}:
                wrong.append(f"{path.relative_to(root)} imports {name} ({room})")
    for folder, allowed in BESIDE.items():
        for path in sorted((root / folder).rglob("*.py")):
            for name in _imports(path):
                top = name.split(".")[0]
                if top in {*BESIDE, "tests"} - {folder} and not any(
                    name == a or name.startswith(a + ".") for a in allowed
                ):
                    wrong.append(f"{path.relative_to(root)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_nobody_edits_the_search_path(root: Path) -> None:
    """All imports are those of packages; only a user's own module is found by its path."""
    allowed = {"mcu_hybrid/nets/__init__.py", "mcu_hybrid/reference/judge_process.py"}
    folders = ("mcu_hybrid", "tests", *BESIDE)
    wrong = [
        str(path.relative_to(root))
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
        if path != Path(__file__) and "sys.path" in path.read_text("utf-8")
    ]
    assert set(wrong) <= allowed, wrong


def test_no_module_imports_in_a_circle(root: Path) -> None:
    """At import: what stands in a function, or is for types only, does not count."""
    modules = {_dotted(path, root): path for _, path in _modules(root)}
    edges = {
        name: {_module_of(other, set(modules)) for other in _at_import(path)}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for other in sorted(edges[module]):
            if other in edges and other != module:
                walk(other, (*trail, module))
        done.add(module)

    for module in edges:
        walk(module, ())


def _dotted(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _module_of(name: str, modules: set[str]) -> str:
    """The module that an import reads: the name itself, or the module that holds it."""
    return name if name in modules else name.rpartition(".")[0]


def _at_import(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_heavy_packages_stay_where_they_belong(root: Path) -> None:
    wrong = [
        f"{path.relative_to(root)} imports {name}"
        for room, path in _modules(root)
        for name in _imports(path)
        if name.split(".")[0] in HEAVY and room not in HEAVY[name.split(".")[0]]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_library_never_prints(root: Path) -> None:
    wrong = []
    for room, path in _modules(root):
        if room in {"cli", "__main__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "print":  # type: ignore[attr-defined]
                wrong.append(f"{path.relative_to(root)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)
