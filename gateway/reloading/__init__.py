"""Serving under the newest good configuration."""
