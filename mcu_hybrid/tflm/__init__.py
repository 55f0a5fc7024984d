"""The second engine: TensorFlow Lite for Microcontrollers from the user's own checkout."""
