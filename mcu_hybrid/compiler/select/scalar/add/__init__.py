"""scalar_add: ADD and SUB of equal shapes."""
