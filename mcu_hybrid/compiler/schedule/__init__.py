"""Schedules: in which order rows of maps are computed, so that few of them live at once.

A stream takes a run of operators as one layer and computes it strip by strip of rows: its inner
tensors exist as windows of a few rows only (rows.py). Each strip is the operators themselves, with
smaller maps and explicit padding, so every kernel serves, and no output changes (lower.py). Which
runs become streams is searched for (candidates.py, search.py).
"""
