"""Boards as data: read from TOML, checked, and their clocks. What runs on them is not here."""
