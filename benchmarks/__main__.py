"""One command for all benchmarks.

.venv/bin/python -m benchmarks device --write     instructions, memory, flash of shared models
.venv/bin/python -m benchmarks kws                keyword spotting through an emulated board
.venv/bin/python -m benchmarks cost_model         predicted against counted instructions
.venv/bin/python -m benchmarks device_figure      docs/device.svg again from docs/device.json
.venv/bin/python -m benchmarks readme runs/demo   the tables of README and docs/results.md
"""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = ("device", "kws", "cost_model", "device_figure", "readme")


def main() -> None:
    """Run the benchmark that the first word names; its own options follow."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NAMES:
        sys.exit(f"{__doc__}\nwhich benchmark? one of: {', '.join(NAMES)}")
    sys.argv = [f"benchmarks {name}", *sys.argv[2:]]
    import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
