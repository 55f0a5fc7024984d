"""What of this machine works: extras, compilers, flashers, probes, ports."""
