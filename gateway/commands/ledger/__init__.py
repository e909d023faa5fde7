"""What runs and fills the ledger by command: the meter, and the demo."""
