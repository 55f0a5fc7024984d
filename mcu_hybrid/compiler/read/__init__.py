"""From a .tflite file to a graph of int8 operators, or the reason why not."""
