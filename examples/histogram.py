"""Counts and a histogram over many tables, of which nobody sees one: exact, with clients that drop out.

Each client counts on its own table; the server learns the sums of the counts. Counts of few clients, or of rare values,
can tell about a person: keep cohorts large, and do not publish small cells.
"""

import numpy as np

import secagg

AGE_EDGES = np.array([0, 18, 30, 45, 60, 75, 120])  # agreed by all, before anybody counts
DIAGNOSES = ("asthma", "diabetes", "none")
MAX_ROWS = 10_000  # of one client: what a count can be

VECTORS = {
    "rows": secagg.Integers(0, MAX_ROWS, length=1),
    "ages": secagg.Integers(0, MAX_ROWS, length=len(AGE_EDGES) - 1),
    "diagnoses": secagg.Integers(0, MAX_ROWS, length=len(DIAGNOSES)),
    "ages_by_diagnosis": secagg.Integers(0, MAX_ROWS, shape=(len(DIAGNOSES), len(AGE_EDGES) - 1)),
}


def local_counts(table):
    """What one client counts on its own table, a mapping of column to array."""
    age, diagnosis = table["age"], table["diagnosis"]
    by_diagnosis = np.stack([np.histogram(age[diagnosis == name], AGE_EDGES)[0] for name in DIAGNOSES])
    return {
        "rows": np.array([len(age)]),
        "ages": np.histogram(age, AGE_EDGES)[0],
        "diagnoses": np.array([np.count_nonzero(diagnosis == name) for name in DIAGNOSES]),
        "ages_by_diagnosis": by_diagnosis,
    }


def secure_counts(tables, dropouts=None):
    """Sum the counts of all clients; `tables` maps client ids to tables.

    Here all clients are in this process. With `secagg.ClientSession` each is where its table is.
    """
    parameters = secagg.SessionParameters.choose(
        clients=sorted(tables),
        vectors=VECTORS,
        threat_model="active",
        max_dropout=0.2,
        max_corrupt=0.1,
        context=b"ages and diagnoses, first quarter",
    )
    inputs = {client: local_counts(table) for client, table in tables.items()}
    return secagg.simulate(parameters, inputs, dropouts=dropouts)


def made_up_tables(clients=20, seed=1):
    """Tables of some hundred rows."""
    draw = np.random.default_rng(seed)
    tables = {}
    for client in range(clients):
        rows = int(draw.integers(100, 500))
        age = draw.integers(0, 100, rows)
        tables[client] = {"age": age, "diagnosis": draw.choice(DIAGNOSES, rows, p=(0.1, 0.2, 0.7))}
    return tables


if __name__ == "__main__":
    result = secure_counts(made_up_tables(), dropouts={"masked_input": [3], "unmasking": [7]})
    print(f"{result.vectors['rows'][0]} rows of {len(result.contributors)} clients")
    for low, high, count in zip(AGE_EDGES[:-1], AGE_EDGES[1:], result.vectors["ages"], strict=True):
        print(f"age {low:3} to {high - 1:3}: {count:5}")
    for name, count in zip(DIAGNOSES, result.vectors["diagnoses"], strict=True):
        print(f"{name:10} {count:5}")
