"""The generated C: tables and calls."""
