"""Who signs with which key, on disk: key files, and rosters that an authority signed or certified.

The server hands none of this out: a client gets the roster and the authority's public key from whoever runs the
deployment, so that a server cannot add identities.
"""
