"""Conformance: drives any implementation of the protocol and says which requirements it keeps.

How a runner and an implementation speak is said in protocol_specs/conformance.md. NO SECURITY: keys come from files.
"""
