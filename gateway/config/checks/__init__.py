"""What one field of routing.yaml alone does not show: contradictions, and names that nothing has."""
