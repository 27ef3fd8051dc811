"""The primitives of the protocol, wrapped so that misuse does not type-check (Specification §3 and §5).

The only package that imports cryptography, PyNaCl and pyaegis. It imports nothing of secagg but
`errors`, `canonical` and `suite_ids`: it must not know messages, sessions or vectors.
"""
