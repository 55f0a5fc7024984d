"""Kernels for cores without the DSP extension (M3, M0+), a folder a family."""
