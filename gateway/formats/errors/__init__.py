"""Errors on the wire: what an upstream means, and what the client is told."""
