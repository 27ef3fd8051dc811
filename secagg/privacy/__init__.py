"""Differential privacy of the sum: how much noise, whose noise, and what it is worth.

Clients clip, round and add noise before masking, to whole numbers that cannot wrap; the protocol does not change. A
room of its own: `import secagg` does not load it, and nothing that a session does depends on it.
"""
