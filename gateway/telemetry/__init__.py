"""What operators see of calls: metrics, log lines, and the books that write both once per call."""
