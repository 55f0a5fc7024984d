"""Names of operators that a .tflite may hold and the engine does not run: told apart in refusals.

Not here: which operators run (each in its own file), and float operators that become a table
(float_functions.py).
"""

from __future__ import annotations

CUSTOM = "CUSTOM"
SHAPE = "SHAPE"
STATE = frozenset(
    {
        "SVDF",
        "LSTM",
        "RNN",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "VAR_HANDLE",
        "READ_VARIABLE",
        "ASSIGN_VARIABLE",
        "CUSTOM:CIRCULAR_BUFFER",
    }
)
CONTROL = frozenset({"IF", "WHILE", "CALL", "STABLEHLO_WHILE"})
# They have an int32 bias as ours with weights have; int32 constants of others are shapes and axes.
BIASED = frozenset({"TRANSPOSE_CONV"})
