"""How each provider is spoken to: one pure module per provider, and hosts that are only data."""
