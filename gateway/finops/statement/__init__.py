"""What a tenant is charged for a month, by the ledger: composed, and written for people and for programs."""
