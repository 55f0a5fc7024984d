"""gemm, conv and convb: CONV_2D, FULLY_CONNECTED and what else is a matrix product."""
