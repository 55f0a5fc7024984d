"""Measuring a board: requests, the instruction mix, samples, and the result as a table."""
