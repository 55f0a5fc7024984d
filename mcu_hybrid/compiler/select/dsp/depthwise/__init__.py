"""dw3, dwp and dw_any: DEPTHWISE_CONV_2D."""
