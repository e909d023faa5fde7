"""`forebay usage`: ask the ledger, and its verbs: what is made of it for others."""
