"""Kernels of the Cortex-M DSP extension (M4, M7, M33), a folder a family."""
