"""Targets to thresholds: costs, payloads, settings, risk bounds, the solver. Pure numpy, no board.

Scores follow one convention: an input is kept on the device iff score <= threshold. Everything is
chosen on a calibration split; a test split is only measured.
"""
