"""What of routing.yaml is in effect: which backends are active, and what that leaves of the routes."""
