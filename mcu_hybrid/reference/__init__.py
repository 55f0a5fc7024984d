"""What must be true: the integer interpreter, the verifier, and the judge (TFLM)."""
