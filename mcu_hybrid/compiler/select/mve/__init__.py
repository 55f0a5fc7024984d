"""Kernels of the vector extension (Helium; M55), a folder a family."""
