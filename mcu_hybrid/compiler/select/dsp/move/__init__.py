"""pad_fast and copy_fast: PAD, TRANSPOSE and STRIDED_SLICE."""
