"""Counts of instructions on emulated boards; each is run as ``python -m benchmarks.NAME``."""
