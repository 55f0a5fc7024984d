"""Search over base (and global) architectures under a board's memories and an expected cost.

genome space (space) -> int8 graph with random weights (graph) -> planner, kernels and cost model
say whether it fits (figures) -> a short training (evaluate) -> proxy score of the pair (score).
Optuna proposes and remembers (study); trials run here (run) or on a Ray cluster (spread).
"""
