"""Commands that make identity keys and rosters."""
