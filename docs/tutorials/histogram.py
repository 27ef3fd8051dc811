# %% [markdown]
# # A histogram with privacy
#
# One hundred and sixty people, an age each, and a histogram that may be published:
# whoever looks at it, and knows everything about everybody else, can hardly tell
# whether *you* are in it. In a quarter of an hour you will have
#
# - made a *plan*, which says what is promised before anybody counts,
# - seen that nobody adds the noise: each client adds a share of it, which by itself
#   hides nothing,
# - given every client a budget, and been refused when it was used up,
# - lost clients, a few and then too many,
# - drawn the histogram with its error bars beside the truth, and attacked it.
#
# You need secagg ([how to install it](../how_to/installing.md)) and matplotlib
# (extra `demo`), and [the first sum](first_sum.ipynb) for what a session is.
# [Differential privacy of the sum](../privacy.md) has all of it, with proofs.

# %%
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import secagg
from secagg import privacy


def say(words):
    """Print a sentence in lines that fit the page."""
    print(textwrap.fill(str(words), 78))


CLIENTS = 160
edges = np.array([18, 30, 45, 60, 75])  # agreed by all, before anybody counts
bins = ["below 18", "18 to 29", "30 to 44", "45 to 59", "60 to 74", "75 and above"]

draw = np.random.default_rng(11)
ages = {
    client: int(age)
    for client, age in enumerate(draw.normal(44, 19, CLIENTS).clip(1, 99))
}

# %% [markdown]
# ## A plan
#
# A plan is integers that all parties agree on, and what follows from them. You say what
# you want to promise; `choose` takes the least noise that keeps it.

# %%
histogram = privacy.Histogram.choose(
    bins=6,
    items=1,  # one age each
    epsilon=2.0,
    delta=1e-6,
    clients=CLIENTS,
    minimum_contributors=130,
    max_corrupt=0.05,  # so many may side with the server
)
say(histogram.plan.statement)

# %% [markdown]
# That text is for the owners of the data. Every figure is rounded against us, and what
# is not covered belongs to it. How good the counts will be is known in advance, too,
# and does not depend on what they are:

# %%
print(f"95 of 100 counts will be within +-{histogram.margin(CLIENTS)}")
assert histogram.margin(CLIENTS) <= 7

# %% [markdown]
# The noise is about the same for 160 clients and for 16 000: the larger the cohort, the
# less it matters.
#
# ## Whose noise?
#
# If the server added it, the server would see the counts without. If each client added
# all of it, there would be 160 times as much (that is the price of [the
# survey](survey.ipynb), in which nobody trusts anybody). So each adds a **share**: the
# sum of at least 130 clients, less the eight who may side with the server, has what the
# promise needs. One share is small:

# %% tags=["drawn"]
for _ in range(3):
    print(histogram.privatize(np.digitize(52, edges)).arrays["counts"])

# %% [markdown]
# The age 52 is in bin 3. One such array gives it away more often than not, and nobody
# ever sees one: it is masked before it leaves. Masks without noise protect until the
# sum is opened; noise without masks would have to be all of it, each time.


# %% tags=["drawn"]
def noise_alone(shares):
    """Of so many clients: -1 is in no bin."""
    drawn = [histogram.privatize(-1).arrays["counts"] for _ in range(shares)]
    return np.array(drawn)


shares = noise_alone(4000)
one, many = shares.std(), np.sqrt(CLIENTS) * shares.std()
print(f"standard deviation of one share: {one:.1f}, of {CLIENTS} together: {many:.0f}")

# %% [markdown]
# ## Budgets
#
# Each sum tells a little more, so each client counts what its data have told: nobody
# else knows every session that they were in. A budget stands between the data and the
# session: `spend` counts first, then hands out what may be sent. In earnest it is a
# `privacy.FileBudget` on the client's own disk.


# %%
def counted(budgets, context, dropouts=None):
    """One session; what stands in the loop is on each client's own machine."""
    parameters = histogram.plan.parameters(sorted(ages), context=context)
    inputs = {}
    for client, age in ages.items():
        private = histogram.privatize(np.digitize(age, edges))
        inputs[client] = budgets[client].spend(histogram.plan, private, parameters)
    return histogram.decode(secagg.simulate(parameters, inputs, dropouts=dropouts))


budgets = {
    client: privacy.MemoryBudget(3.0, 1e-6, client=client, data_set="ages")
    for client in ages
}
leaving = {"share_keys": [3, 141], "masked_input": [14, 60], "unmasking": [9]}
found = counted(budgets, b"ages, first quarter", leaving)
print(f"{found.contributors} clients are counted, +-{found.margin}")
assert found.contributors == CLIENTS - 4
say(budgets[0].report())

# %% [markdown]
# Clients who left before their input was in are not counted, and their shares of noise
# are missing, too: that is why a plan has a floor. Their budgets are spent all the
# same, since what they sent might have arrived.

# %%
assert budgets[14].report().draws == 1

# %% [markdown]
# ## The result
#
# The truth is here for the picture only: in a real federation nobody has it.

# %% tags=["drawn"]
there = [age for client, age in ages.items() if client not in (3, 141, 14, 60)]
truth = np.bincount(np.digitize(there, edges), minlength=6)
for name, count, right in zip(bins, found.counts, truth, strict=True):
    print(f"{name:13} {count:4} +-{found.margin}   truth {right:4}")

figure, axis = plt.subplots()
axis.bar(np.arange(6) - 0.2, truth, width=0.4, label="truth, which nobody knows")
axis.bar(
    np.arange(6) + 0.2,
    found.counts,
    width=0.4,
    yerr=found.margin,
    capsize=4,
    label="published, 95 %",
)
axis.set(title=f"Ages of {found.contributors} people", ylabel="people")
axis.set_xticks(np.arange(6), bins, fontsize=8)
axis.legend(frameon=False)
plt.show()

# %%
# The margin holds for 95 of 100 counts, four times of it for all but one in 10^13.
assert (np.abs(found.counts - truth) <= 4 * found.margin).all()

# %% [markdown]
# ## What ε means
#
# The statement says it as a game: somebody knows everybody else's age, sees the
# published counts, and bets whether you were counted, at even odds. Without noise it
# subtracts what it knows and is always right. Play it two thousand times (noise in the
# six bins is independent), with the noise that this code draws, of as few as the
# promise counts with:

# %%
TRIES, honest = 400, histogram.plan.honest
sums = noise_alone(TRIES * honest).reshape(TRIES, honest, 6).sum(axis=1)
you_are_in = draw.integers(0, 2, sums.shape)
bet = (sums + you_are_in) > 0.5  # what is left when all others are subtracted
right = float((bet == you_are_in).mean())
promised = histogram.plan.statement.right_guesses / 100
print(f"promised: right in at most {promised:.2f} (a coin: 0.50)")
assert abs(right - promised) < 0.06  # of 2400 tries; 0.06 is six standard deviations

# %% tags=["drawn"]
print(f"measured: {right:.3f}")

# %% [markdown]
# And δ is what ε leaves aside: one in a million that the bound does not hold.
#
# ## Once more
#
# Another histogram of the same people costs again. This plan was for one, so a client
# refuses, and nothing leaves it:

# %%
try:
    counted(budgets, b"ages, once more")
except secagg.BudgetExceededError as error:
    say(error)
assert {budget.report().draws for budget in budgets.values()} == {1}

# %% [markdown]
# Whoever wants more says so before: `rounds=4` is a promise over four histograms
# together. The noise grows with the square root of how many there are, since luck evens
# out.

# %%
for rounds in (1, 4, 16):
    longer = privacy.Histogram.choose(
        bins=6,
        epsilon=2.0,
        delta=1e-6,
        clients=CLIENTS,
        rounds=rounds,
        minimum_contributors=130,
        max_corrupt=0.05,
    )
    print(f"{rounds:2} rounds: +-{longer.margin(CLIENTS)}")

# %% [markdown]
# ## Too few
#
# Below the floor the promised noise would be missing. Then there is no sum, and the
# floor is kept by the clients, not by the server: each has the number in the parameters
# it agreed to.

# %%
fresh = {
    client: privacy.MemoryBudget(3.0, 1e-6, client=client, data_set="ages")
    for client in ages
}
try:
    counted(fresh, b"ages, in a storm", {"advertise_keys": range(50)})
    raise AssertionError("there is a sum below the floor")
except secagg.SessionAbortedError as error:
    say(error)
    assert error.reason is secagg.AbortReason.TOO_FEW_ADVERTISED

# %% [markdown]
# ## What you have, and what you have not
#
# - One person's age hardly shows in what is published: to readers, and to the server
#   together with one in twenty clients.
# - The server was trusted to follow the protocol.
#   `Histogram.choose(threat_model="active", ...)` promises the same of one that lies,
#   with keys and a roster.
# - **Not protected:** that you took part; what is true of most people; and everything
#   in the statement's last sentence. A client that lies counts as much as it likes:
#   [under attack](under_attack.ipynb).
#
# Next: `privacy.Quantiles`, `privacy.HeavyHitters` and `privacy.Plan`, for models ([a
# session to copy](../privacy.md#use-it)), or `secagg privacy plan` on the command line.
