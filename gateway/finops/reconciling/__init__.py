"""Compare the ledger with a provider's bill, day by day and model by model."""
