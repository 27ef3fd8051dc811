"""Micro-benchmarks of the library: each figure beside the floor that the same machine showed in the same run.

Measures and compares; changes no global setting of the interpreter. Nothing of the library may import this.
"""
