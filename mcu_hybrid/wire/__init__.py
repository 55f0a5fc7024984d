"""The wire protocol without I/O: numbers (messages), layouts (payloads), frames."""
