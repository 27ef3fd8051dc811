"""The round state machines: pure functions over frozen states (Specification §6, §7).

No socket, file, clock, thread, logging, global randomness or protobuf in here; a test parses every import.
"""
