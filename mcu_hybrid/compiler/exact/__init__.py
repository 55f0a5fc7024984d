"""Proofs about integers: requantisation in fewer instructions, and which values can occur."""
