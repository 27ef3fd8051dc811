"""A second implementation of `secagg-v1.md`, `privacy-v1.md` and `robust-v1.md`, made to be read beside them.

Every module names the sections that it follows. It uses plain Python integers and the standard primitives of
`cryptography` and PyNaCl (pyaegis for suite 0x0002 alone), and nothing of the `secagg` package: where the two
disagree, one of them or the document is wrong.

Read in this order: `canonical`, `parameters`, `rules`, `digests`, `topology`; `commitments`, `keys`, `sealing`,
`signatures`, `prg`, `dealings`, `edwards`, `disclosures`;
`vectors`, `packing`; `field`, `sharing`; `protobuf`, `wire`, `contradictions`, `evidence`, `policy`, `client_secrets`,
`client_rounds`, `client`, `blame`, `unmasking`, `rebuilding`, `server_state`, `server_checks`, `server`; for
differential privacy `plans`, `noise`, `privatizing`; for cells `cells`, `cell_sums`.

It is no library. It is slow, erases secrets only by forgetting them, bounds no message by its size, and has neither
snapshots nor a ledger (§9) nor the choice of parameters (§2.4, but for what a client's policy needs).
"""
