"""A model check of the protocol: the rounds of Specification §6 and §7 over small cohorts, searched exhaustively.

Run it with `python -m protocol_specs.model`. README.md says what is modelled and what is abstracted away.
"""
