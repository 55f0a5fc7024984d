"""add_fast and mul_fast: ADD, SUB and MUL along runs of both operands."""
