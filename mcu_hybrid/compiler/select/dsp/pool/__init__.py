"""max_pool_fast, average_pool_fast and mean_fast."""
