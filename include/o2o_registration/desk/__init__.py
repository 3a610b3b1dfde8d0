"""What the page shows: the ledger as the engineer on call and the HR desk ask for it. Reads only."""
