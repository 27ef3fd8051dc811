# %% [markdown]
# # A private survey
#
# A question that people answer honestly only if nobody sees their answer: *in the last
# three months, how often have you thought about leaving your job?* It is the question
# of [`examples/survey`](../../examples/survey/README.md), which asks it in a browser
# (`secagg demo --web`); here is the same from Python. In a quarter of an hour you will
# have
#
# - turned answers into vectors that add up to counts, and summed those of sixty people
#   while some leave,
# - had every device *randomize* its answer, computed what that promises, and tried to
#   guess against it,
# - estimated what was meant, with error bars, and seen how these shrink with the number
#   of people,
# - a table of who learns what.
#
# You need secagg ([how to install it](../how_to/installing.md)) and matplotlib
# (extra `demo`), and [the first sum](first_sum.ipynb) if you want to see a session from
# near.

# %%
import hashlib
import json
import math

import matplotlib.pyplot as plt
import numpy as np

import secagg
from secagg import privacy

# %% [markdown]
# ## The question, and made-up people
#
# A session is bound to what is asked: its context is the SHA-256 of the question. A
# client that was told another question than the rest is in no session with them.

# %%
question = {
    "question": "In the last three months, how often have you thought about leaving your job?",
    "options": ["Never", "Once or twice", "Every month", "Every week", "Every day"],
}
options = question["options"]
context = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).digest()

draw = np.random.default_rng(3)


def made_up(people):
    """Their answers, by person."""
    drawn = draw.choice(5, people, p=[0.35, 0.3, 0.15, 0.12, 0.08])
    return dict(enumerate(drawn.tolist(), start=1))


PEOPLE = 60
answers = made_up(PEOPLE)

# %% [markdown]
# ## Counts, exactly
#
# An answer is a one among zeros; the sum of such vectors counts. `secagg.simulate`
# plays a whole session, every message as bytes: in a real survey each `one_of` is on
# somebody's phone. Of our people one in ten leaves, in various rounds.


# %%
def one_of(answer):
    """An answer as a vector: a one among zeros."""
    return {"answers": (np.arange(5) == answer).astype(np.int64)}


parameters = secagg.SessionParameters.choose(
    clients=answers,
    vectors={"answers": secagg.Integers(0, 1, length=5)},
    threat_model="active",
    max_dropout=0.25,
    max_corrupt=0.1,
    minimum_contributors=40,
    context=context,
)
leaving = {"share_keys": [4, 31], "masked_input": [8, 19, 47], "unmasking": [22]}
result = secagg.simulate(
    parameters,
    {person: one_of(answer) for person, answer in answers.items()},
    dropouts=leaving,
)
counts = result.vectors["answers"]
for option, count in zip(options, counts, strict=True):
    print(f"{option:14} {count:3}")
print(f"{len(result.contributors)} of {PEOPLE} answers are in the sum")

# %% [markdown]
# Whoever left before its input was there is not counted. Person 22 left afterwards, and
# is.

# %%
gone = {*leaving["share_keys"], *leaving["masked_input"]}
assert result.contributors == tuple(sorted(set(answers) - gone))
plain = np.bincount([answers[person] for person in result.contributors], minlength=5)
assert (counts == plain).all()

# %% [markdown]
# ## Why that is not enough
#
# The counts are exact, so whoever knows 54 of the 55 answers knows the last one. And
# the masks hold while at most one in ten sides with the server (`max_corrupt`); if many
# more do, they read yours. For a question like this one it is better that there is
# nothing to read.
#
# ## Randomized response
#
# Each device tosses a coin that it shows nobody. With a probability that everybody
# knows the answer stays; otherwise one of all five is drawn. So **any answer that
# leaves a device can be anybody's**, whoever sees it, the server and all other people
# together included.

# %%
response = privacy.RandomizedResponse.choose(options=5, epsilon=2.0)
print(f"an answer stays with probability {response.kept:.3f}")
print(f"what leaves is the answer with probability {response.told:.3f}")
print(f"epsilon = {response.epsilon:.6f}")

# %% [markdown]
# **Epsilon, by hand.** Of the two answers that are easiest to tell apart, how much
# likelier does one make what was seen than the other? The answer itself leaves with
# probability `told`, each other one with `(1 - kept) / 5`. The logarithm of their
# quotient is ε; there is no δ, and no assumption about anybody.

# %%
other = (1 - response.kept) / 5
by_hand = math.log(response.told / other)
print(f"{by_hand:.6f}")
assert abs(by_hand - response.epsilon) < 1e-9
assert response.epsilon >= by_hand  # rounded up, against us

# %% [markdown]
# In words: somebody who suspects that you said either "never" or "every day", at even
# odds, and sees what left your device, is right in at most e^ε / (1 + e^ε) of the
# cases. Try it: twenty thousand such people, and an attacker who takes what it sees for
# the truth, and tosses a coin where it sees neither.

# %%
bound = math.exp(response.epsilon) / (1 + math.exp(response.epsilon))


def guess(seen):
    """Never (0) or every day (4)?"""
    coins = 4 * draw.integers(0, 2, len(seen))
    return np.where((seen == 0) | (seen == 4), seen, coins)


TRIES = 20_000
meant = 4 * draw.integers(0, 2, TRIES)
seen = np.array([response.randomize(answer) for answer in meant])
right = float((guess(seen) == meant).mean())
print(f"at most {bound:.3f} are right (a coin: 0.5)")
assert 0.5 < right < bound

# %% tags=["drawn"]
print(f"measured: {right:.3f}")

# %% [markdown]
# The bound is not reached, since a quarter of what leaves is neither. It holds against
# better attackers, too.
#
# **Once.** Each randomized answer has an ε of its own, and they add up. An attacker who
# sees twenty for the same answer takes the most frequent one. So a device randomizes
# once, and gives that again if it is asked again.

# %%
twenty = np.array([[response.randomize(3) for _ in range(20)] for _ in range(200)])
found = np.mean([np.bincount(row, minlength=5).argmax() == 3 for row in twenty])
print(f"twenty answers: epsilon = {20 * response.epsilon:.0f}, which promises nothing")
assert found > 0.95

# %% [markdown]
# ## The survey
#
# One hundred and fifty people, each with an answer that its device has randomized, and
# eleven leave. This takes a few seconds: all clients are in this process, and each
# agrees on keys with each other one.

# %%
PEOPLE = 150
answers = made_up(PEOPLE)
parameters = secagg.SessionParameters.choose(
    clients=answers,
    vectors={"answers": secagg.Integers(0, 1, length=5)},
    threat_model="active",
    max_dropout=0.25,
    max_corrupt=0.1,
    minimum_contributors=110,
    context=context,
)
randomized = {  # each on its own device
    person: one_of(response.randomize(answer)) for person, answer in answers.items()
}
leaving = {
    "advertise_keys": [12, 90],
    "masked_input": [*range(101, 108)],
    "unmasking": [55, 56],
}
result = secagg.simulate(parameters, randomized, dropouts=leaving)
there = len(result.contributors)
print(f"{there} of {PEOPLE} answers are in the sum; exact: {result.report.exact}")
assert there == 141

# %% [markdown]
# ## What was meant
#
# The sum counts what left the devices, flattened by chance. Everybody knows by how
# much, so it can be taken out again, right on average; `deviation` is the standard
# deviation that the coins leave.

# %% tags=["drawn"]
estimate = response.estimate(result.vectors["answers"])
# How many gave an answer is not known: the estimate stands for it.
likely = np.clip(estimate, 0, there)
bars = np.array([1.96 * response.deviation(there, float(given)) for given in likely])
truth = np.bincount([answers[person] for person in result.contributors], minlength=5)

print(f"{'':14} {'left':>5} {'meant':>6} {'+-':>4} {'truth':>6}")
left = result.vectors["answers"]
for option, *row in zip(options, left, estimate, bars, truth, strict=True):
    print("{:14} {:5} {:6.0f} {:4.0f} {:6}".format(option, *row))

figure, axis = plt.subplots()
place, wide = np.arange(5), 0.4
axis.bar(place - 0.2, truth / there, wide, label="truth, which nobody knows")
axis.bar(place + 0.2, estimate / there, wide, yerr=bars / there, label="estimate, 95 %")
axis.axhline(0, color="black", linewidth=0.8)
axis.set(title="How often have you thought about leaving?", ylabel="share of people")
axis.set_xticks(place, options, fontsize=8)
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# An estimate may be below zero: cut there, the sum of all would be biased. Of a hundred
# bars, 95 hold the truth:

# %%
assert (np.abs(estimate - truth) < 6 * bars / 1.96).all()
assert abs(estimate.sum() - there) < 1e-6

# %% [markdown]
# ## How many people, how much privacy
#
# The error of a share shrinks with the square root of the number of people. For ±3
# percent of an option that nearly nobody gives, this many are needed; and beside it,
# how often a guess of one answer out of two may be right:

# %%
for epsilon in (1.0, 2.0, 4.0):
    this = privacy.RandomizedResponse.choose(options=5, epsilon=epsilon)
    people = 50
    while 1.96 * this.deviation(people) / people > 0.03:
        people += 50
    guesses = 100 / (1 + math.exp(-epsilon))
    print(f"epsilon {epsilon:g}: {people:5} people, {guesses:.0f} guesses of 100 right")

# %% [markdown]
# ## Who learns what
#
# | who | of exact answers | of randomized answers |
# |---|---|---|
# | the server, one that lies included | the counts | the counts of randomized answers |
# | the server with one tenth of the people | the counts of the others | the same, randomized |
# | somebody who knows all answers but yours | **your answer** | your randomized answer: ε = 2 |
# | the server with far more people than `max_corrupt` | **your answer** | your randomized answer: ε = 2 |
# | whoever has your device | your answer | your answer |
# | everybody | that you took part, or left | the same |
#
# What is *not* protected: that most people say something is what a survey is for, and
# it may be true of you. People who give wrong answers move the counts by one each,
# whatever the coins say; a client that *lies* moves them by more ([under
# attack](under_attack.ipynb)). A second survey among the same people costs a second ε.
#
# Next: many questions, or numbers instead of options, want less noise than this: [a
# histogram with privacy](histogram.ipynb) shares it among all. For a survey with links
# to hand out, over HTTP, see [joining by a link](../how_to/rosters.md#joining-by-a-link).
