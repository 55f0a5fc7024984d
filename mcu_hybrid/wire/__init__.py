"""The wire protocol without I/O: numbers (messages), payloads, frames."""
