"""plain_gemm and plain_conv: CONV_2D and FULLY_CONNECTED."""
