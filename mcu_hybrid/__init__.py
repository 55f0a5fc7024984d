"""mcu-hybrid: hybrid inference (base + router on a microcontroller, global in the cloud)."""

__version__ = "0.1.0"
