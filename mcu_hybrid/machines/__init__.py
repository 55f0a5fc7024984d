"""What runs a board's image without the board, what it counts, and what the counts cost."""
