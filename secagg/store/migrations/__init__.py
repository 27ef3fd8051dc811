"""The tables of the store in PostgreSQL, from one release to the next: plain SQL, which Alembic applies in order."""
