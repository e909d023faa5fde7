"""What is promised of calls: how it stands, and the same as rules for Prometheus."""
