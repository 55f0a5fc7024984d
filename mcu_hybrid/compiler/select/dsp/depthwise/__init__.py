"""dw3 (3x3), dwk (Kronecker-packed) and dw_any: DEPTHWISE_CONV_2D."""
