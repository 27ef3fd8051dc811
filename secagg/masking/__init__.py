"""Seeds to masks to accumulators: the hot path (Specification §3.4, §6.4, §6.6)."""
