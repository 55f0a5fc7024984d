"""gemm, conv and conv_band (any channels, from a band): CONV_2D, FULLY_CONNECTED and the like."""
