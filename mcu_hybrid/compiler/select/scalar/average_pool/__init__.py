"""scalar_average_pool: AVERAGE_POOL_2D."""
