"""What becomes of a call in a tracing system: decided when it has ended, made beside the calls."""
