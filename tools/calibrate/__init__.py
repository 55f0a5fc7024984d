"""Makers of the data that the compiler ships: costs and bytes of its kernels."""
