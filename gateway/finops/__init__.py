"""What is done with the ledger: it is filled, asked, corrected and compared."""
