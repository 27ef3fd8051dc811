"""Models of the protocol for ProVerif, a prover of cryptographic protocols: what it proved is in results.json.

`python -m protocol_specs.proverif` writes the models. README.md says what is proved, and under which idealisation.
"""
