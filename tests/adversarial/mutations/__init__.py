"""Preventions, taken out of a copy of the library one at a time: `python -m tests.adversarial.mutations`."""
