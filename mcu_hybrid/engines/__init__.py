"""What compiles a network for a board; the second engine has a room of its own (tflm)."""
