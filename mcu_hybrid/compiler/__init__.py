"""The int8 compiler: a .tflite file to C for one core."""
