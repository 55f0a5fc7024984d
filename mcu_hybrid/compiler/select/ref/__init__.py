"""The reference kernels: an operator's own ``lower`` makes the call, here is what it costs."""
