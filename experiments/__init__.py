"""Comparisons of methods over seeds; each is run as ``python -m experiments.NAME``."""
