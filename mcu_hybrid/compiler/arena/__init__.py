"""Where each tensor lies in the arena, and for how long."""
