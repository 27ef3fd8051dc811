"""What a host holds: the two facades of a session, their snapshots, the ledger, and a whole session in one process."""
