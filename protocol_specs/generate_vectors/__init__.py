"""Makes the test vectors of `vectors/` with the reference implementation: `python -m protocol_specs.generate_vectors`.

NO SECURITY: every key follows from a label. Must not know the library's protocol code: vectors are there to check it.
"""
