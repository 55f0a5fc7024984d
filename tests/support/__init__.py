"""What tests, benchmarks and calibration share: rigs, cases, made models."""
