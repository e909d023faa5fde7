"""Let calls in as far as the limits on their callers go, and settle what they took."""
