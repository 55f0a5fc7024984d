"""The hybrid against every baseline, through the int8 path."""
