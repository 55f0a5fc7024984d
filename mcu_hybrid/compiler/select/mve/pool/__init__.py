"""mve_max_pool, mve_average_pool and mve_mean."""
