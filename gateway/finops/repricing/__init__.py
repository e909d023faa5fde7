"""Compute past costs anew, and book the difference by double entry."""
