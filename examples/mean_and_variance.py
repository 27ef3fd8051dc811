"""Means and variances of columns over many tables, of which nobody sees one: exact for values of the agreed resolution.

Each client sends, under masks, how many values it has, their sum and the sum of their squares; missing values (NaN) do
not count. In whole units of the resolution all three are whole numbers, so nothing is rounded and nothing cancels.
"""

from dataclasses import dataclass

import numpy as np

import secagg


@dataclass(frozen=True)
class Column:
    """What all clients agree on before they sum: values outside are clipped, and count as the bound."""

    name: str
    low: float
    high: float
    resolution: float

    @property
    def largest(self) -> int:
        """In units of the resolution, from `low`."""
        return round((self.high - self.low) / self.resolution)


COLUMNS = (Column("systolic", 60.0, 260.0, 1.0), Column("temperature", 34.0, 43.0, 0.1))
MAX_ROWS = 10_000  # of one client

VECTORS = {
    "counts": secagg.Integers(0, MAX_ROWS, length=len(COLUMNS)),
    **{f"sum/{column.name}": secagg.Integers(0, MAX_ROWS * column.largest, length=1) for column in COLUMNS},
    **{f"squares/{column.name}": secagg.Integers(0, MAX_ROWS * column.largest**2, length=1) for column in COLUMNS},
}


def local_sums(table):
    """What one client computes on its own table, a mapping of column to array."""
    units = {}
    for column in COLUMNS:
        values = table[column.name]
        clipped = np.clip(values[~np.isnan(values)], column.low, column.high)
        units[column.name] = np.rint((clipped - column.low) / column.resolution).astype(np.int64)
    return {
        "counts": np.array([len(units[column.name]) for column in COLUMNS]),
        **{f"sum/{name}": values.sum(keepdims=True) for name, values in units.items()},
        **{f"squares/{name}": (values**2).sum(keepdims=True) for name, values in units.items()},
    }


def statistics(sums):
    """Name of a column to count, mean and sample variance; none of the latter below 1 and 2 values."""
    found = {}
    for column, count in zip(COLUMNS, map(int, sums["counts"]), strict=True):
        total, squares = int(sums[f"sum/{column.name}"][0]), int(sums[f"squares/{column.name}"][0])
        mean = column.low + column.resolution * total / count if count else None
        # In Python's integers, so that two large numbers may nearly cancel.
        spread = (count * squares - total**2) / (count * (count - 1)) if count > 1 else None
        found[column.name] = (count, mean, None if spread is None else column.resolution**2 * spread)
    return found


def secure_statistics(tables, dropouts=None):
    """Statistics over all clients, and who is in them; `tables` maps client ids to tables.

    Here all clients are in this process. With `secagg.ClientSession` each is where its table is.
    """
    parameters = secagg.SessionParameters.choose(
        clients=sorted(tables),
        vectors=VECTORS,
        threat_model="active",
        max_dropout=0.2,
        max_corrupt=0.1,
        context=b"vital signs, first quarter",
    )
    inputs = {client: local_sums(table) for client, table in tables.items()}
    result = secagg.simulate(parameters, inputs, dropouts=dropouts)
    return statistics(result.vectors), result.contributors


def made_up_tables(clients=20, seed=1):
    """Tables of some hundred rows, some values missing."""
    draw = np.random.default_rng(seed)
    tables = {}
    for client in range(clients):
        rows = int(draw.integers(100, 500))
        table = {
            "systolic": np.rint(draw.normal(125, 18, rows)),
            "temperature": np.round(draw.normal(36.9, 0.6, rows), 1),
        }
        table["temperature"][draw.random(rows) < 0.1] = np.nan
        tables[client] = table
    return tables


if __name__ == "__main__":
    found, contributors = secure_statistics(made_up_tables(), dropouts={"share_keys": [3], "unmasking": [7]})
    print(f"over {len(contributors)} clients")
    for name, (count, mean, variance) in found.items():
        print(f"{name:12} {count:5} values, mean {mean:8.3f}, variance {variance:8.3f}")
