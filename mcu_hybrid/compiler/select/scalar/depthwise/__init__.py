"""scalar_depthwise: DEPTHWISE_CONV_2D."""
