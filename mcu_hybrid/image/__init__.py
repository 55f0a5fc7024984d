"""A firmware image: its files, its build id, its parts."""
