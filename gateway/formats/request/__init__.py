"""What a request says of itself beside its content: its prompt, and how much may be generated for it."""
