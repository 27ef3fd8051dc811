"""Commands that need no other machine: simulations and the parameter calculator."""
