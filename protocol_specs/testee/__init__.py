"""The reference implementation as a testee of `conformance.md`: `python -m protocol_specs.testee [--fault NAME]`.

Plumbing between the calls of `conformance.proto` and `protocol_specs.reference`; knows no rule of the protocol itself.
With a fault it breaks one rule on purpose, to show that the runner finds it. NO SECURITY.
"""
