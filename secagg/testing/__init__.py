"""NO SECURITY: deterministic randomness and other tools for tests, examples and test vectors.

Nothing in this package protects anything. Whoever knows the seed knows every key. Never give any of it to
a session that carries real data.
"""
