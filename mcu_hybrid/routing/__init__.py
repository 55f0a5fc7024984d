"""Who answers a query, how well, and at what cost."""
