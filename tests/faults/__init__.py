"""`make faults`: does the promise hold when everything fails? Judged by the simulator's mailbox, not by the ledger."""
