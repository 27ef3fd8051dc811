"""NO SECURITY: clients that lie, rules that judge sums, and what sums of many rounds tell, tried on small data sets.

Nothing here protects anything, and nothing that does may import it: it measures what the rules of :mod:`secagg.robust`
are worth, and what cells cost in privacy. It draws from NumPy's generators: data, first models, attackers' choices.
"""
