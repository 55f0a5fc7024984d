"""scalar_gemm and scalar_conv: CONV_2D and FULLY_CONNECTED."""
