"""Wire formats: pure functions from bytes to bytes and values. No await, no clock, no I/O."""
