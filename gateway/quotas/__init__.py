"""Limits on what callers may use: what is counted, reserved before a call, and settled after it."""
