"""mve_gemm and mve_conv: CONV_2D and FULLY_CONNECTED."""
