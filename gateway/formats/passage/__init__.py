"""How a call gets from its client to an upstream's wire format, and its answer back."""
