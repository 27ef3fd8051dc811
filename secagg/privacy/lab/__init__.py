"""NO SECURITY: attacks on sums, audits of the noise, and learning with it, to measure what the privacy room claims.

Nothing here protects anything, and nothing that does may import it. It alone draws from NumPy's generators: what it
draws are data, attackers' guesses and initial models, never noise that a claim rests on.
"""
