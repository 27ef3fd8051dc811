"""Coverage-guided fuzzing of secagg: target functions in plain modules, atheris in the runner only.

NO SECURITY in here: all keys of these sessions follow from fixed seeds.
"""
