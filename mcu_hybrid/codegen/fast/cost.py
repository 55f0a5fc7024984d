"""costs (stub)"""
def gemm_cost(packed, pixels): return 0.0
def columns_cost(geometry): return 0.0
