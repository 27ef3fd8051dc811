"""Processors for the long computations of a session; every one gives the same bytes."""
