"""A histogram that may be published: counts over many clients with noise, and a budget that each client holds.

What one client adds hardly shows in the counts, whoever looks at them: the server, too, as long as it follows the
protocol. How little is known in numbers before anybody counts; whoever's budget is used up is refused by its own
machine. For counts within a company see histogram.py, which is exact.
"""

import numpy as np

import secagg
from secagg import privacy

AGE_EDGES = np.array([18, 30, 45, 60, 75])  # agreed by all, before anybody counts
CLIENTS = 40

HISTOGRAM = privacy.Histogram.choose(
    bins=len(AGE_EDGES) + 1,
    items=1,  # one age a client
    epsilon=2.0,
    delta=1e-6,
    clients=CLIENTS,
    minimum_contributors=30,
    max_corrupt=0.05,
)


def private_input(client, ages, parameters, budgets):
    """What one client does: count, add noise, and spend of its budget before anything leaves."""
    private = HISTOGRAM.privatize(np.digitize(ages, AGE_EDGES))
    return budgets[client].spend(HISTOGRAM.plan, private, parameters)


def private_counts(tables, budgets, dropouts=None):
    """Noisy counts over all clients; `tables` maps client ids to ages, `budgets` to each client's budget.

    Here all clients are in this process. With `secagg.ClientSession` each is where its table is, and its budget is a
    `privacy.FileBudget` beside it.
    """
    parameters = HISTOGRAM.plan.parameters(sorted(tables), context=b"ages, first quarter")
    inputs = {client: private_input(client, ages, parameters, budgets) for client, ages in tables.items()}
    return HISTOGRAM.decode(secagg.simulate(parameters, inputs, dropouts=dropouts))


def made_up_tables(seed=1):
    """An age for each client."""
    draw = np.random.default_rng(seed)
    return {client: draw.integers(18, 90, 1) for client in range(CLIENTS)}


def fresh_budgets(epsilon=3.0):
    """A budget for each client, over everything that its data will ever go into."""
    return {client: privacy.MemoryBudget(epsilon, 1e-6, client=client, data_set="ages") for client in range(CLIENTS)}


if __name__ == "__main__":
    print(HISTOGRAM.plan.statement)
    budgets = fresh_budgets()
    found = private_counts(made_up_tables(), budgets, dropouts={"masked_input": [3, 14]})
    bounds = ["", *map(str, AGE_EDGES), ""]
    for low, high, count in zip(bounds, bounds[1:], found.counts, strict=False):
        print(f"age {low:>2} to {high:2}: {count:4} +-{found.margin}")
    print(f"over {found.contributors} clients")
    print(budgets[0].report())
    try:
        for _ in range(9):
            private_counts(made_up_tables(), budgets)
    except secagg.BudgetExceededError as error:
        print(f"refused: {error}")
