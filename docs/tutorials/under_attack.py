# %% [markdown]
# # Under attack
#
# Masks hide every input, the false ones as well; and a sum is a sum, whatever hides its
# parts. Here you play the attackers. In twenty minutes you will have
#
# - spoiled a model with three of thirty clients, and seen that no sum shows it,
# - put the clients into *cells*, and had a rule find the cells that make the model
#   worse,
# - been a server that tells its clients different things, and got nothing for it,
# - read a picture out of two honest sums, by subtracting them, and twice been stopped,
# - a list of what nothing here protects from.
#
# You need secagg with the extra `demo` ([how to install
# it](../how_to/installing.md)): scikit-learn has the digits, matplotlib draws.
# [The first sum](first_sum.ipynb) and [a histogram with privacy](histogram.ipynb)
# explain sessions and noise. The pages behind this one: [clients that
# lie](../robustness.md) and [security](../security.md).

# %%
import hashlib
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import secagg
from secagg import privacy, robust
from secagg.privacy.lab import digits, inversion, models


def say(words):
    """Print a sentence in lines that fit the page."""
    print(textwrap.fill(str(words), 78))


# %% [markdown]
# ## Liars
#
# Thirty clients learn to read digits (softmax regression, 650 numbers). Three of them
# turn their updates round and make them longer.

# %%
CLIENTS, LIARS, ROUNDS = 30, {4, 13, 22}, 6
draw = np.random.default_rng(1)
pixels, labels = load_digits(return_X_y=True)
order = draw.permutation(len(labels))
pixels = np.hstack([pixels / 16, np.ones((len(labels), 1))])[order]
labels = labels[order]
# The server's own digits, digits for a test, and those of the clients.
root, test, rest = np.split(np.arange(len(labels)), [100, 400])
own = dict(enumerate(np.array_split(rest, CLIENTS)))
UPDATE = secagg.FixedPoint(650, clip=2.0, rounding="nearest", aggregate="mean")


def scores(model, which):
    """Of ten digits, for each picture."""
    return pixels[which] @ model.reshape(65, 10)


def accuracy(model, which=test):
    """How many are right, from 0 to 1."""
    return float((scores(model, which).argmax(axis=1) == labels[which]).mean())


def update_of(model, which, steps=10, rate=1.0):
    """What some steps of training on these pictures change."""
    moved = model
    for _ in range(steps):
        chances = np.exp(scores(moved, which))
        chances /= chances.sum(axis=1, keepdims=True)
        excess = (chances - np.eye(10)[labels[which]]) / len(which)
        moved = moved - rate * (pixels[which].T @ excess).ravel()
    return moved - model


def input_of(client, model):
    """What a client gives to a session."""
    honest = update_of(model, own[client])
    return {"update": -12 * honest if client in LIARS else honest}


# %% [markdown]
# In **one session** of all, the mean is theirs:


# %%
def in_one_session(liars_there):
    """Train; the clients that lie are there, or not."""
    clients = [client for client in own if liars_there or client not in LIARS]
    model = np.zeros(650)
    for number in range(ROUNDS):
        parameters = secagg.SessionParameters.choose(
            clients=clients, vectors={"update": UPDATE}, context=b"round %d" % number
        )
        result = secagg.simulate(
            parameters, {client: input_of(client, model) for client in clients}
        )
        assert result.impossible == {}  # no sum proves a lie
        model = model + result.vectors["update"]
    return model


honest, spoiled = in_one_session(liars_there=False), in_one_session(liars_there=True)
print(f"without: {accuracy(honest):.2f}; with the liars: {accuracy(spoiled):.2f}")
assert accuracy(honest) > 0.85 > 0.5 > accuracy(spoiled)

# %% [markdown]
# The server could not tell that anything was wrong, still less who did it: that is what
# masks are for.
#
# ## Cells, and a rule
#
# A rule needs something to compare. So clients are put into cells, each a session of
# its own, and a liar spoils the mean of its cell. Large cells hide a client among many;
# small ones leave more cells clean. `choose_size` counts it out, or says what to give
# up:

# %%
try:
    robust.choose_size(CLIENTS, malicious=0.1, colluding=0.1, rule="median")
except secagg.ParameterError as error:
    say(error)

# %% [markdown]
# We have a hundred digits of our own, which no client knows. So take the rule that asks
# what each cell's mean does to them:

# %%
choice = robust.choose_size(CLIENTS, malicious=0.1, colluding=0.1, rule="root_check")
# Drawn when the clients are known, by somebody whom the server does not control:
# whoever chooses who shares a cell could surround a client with accomplices.
seed = hashlib.sha256(b"a public beacon, an hour after the roster was signed").digest()
cells = robust.Partition.draw(own, size=choice.size, seed=seed)
for number, members in enumerate(cells.cells):
    lying = len(LIARS & set(members))
    print(f"cell {number}: {len(members)} clients, {lying} lie")


# %%
def digest(model):
    """What binds a session to the model that its clients start from."""
    return hashlib.sha256(model.astype("<f8").tobytes()).digest()


guards = {
    client: robust.CellGuard(cells, client, ledger=secagg.MemoryLedger())
    for client in own
}
NORM = 4.0  # no honest update is longer, so a longer mean of a cell proves a lie


def answer(client, parameters, model, number):
    """A client's input, if this is the session of its own cell in this round."""
    guards[client].admit(parameters, model=digest(model), number=number)
    given = input_of(client, model)
    return given if client in LIARS else robust.clip_norm(given, NORM)


judge = robust.CellSiren(
    len(cells.cells), CLIENTS, rounds=ROUNDS, train=lambda model: update_of(model, root)
)
model, left_out = np.zeros(650), []
for number in range(ROUNDS):
    plan = robust.CellRound(cells, {"update": UPDATE}, digest(model), number)
    results = {}
    for cell, members in enumerate(cells.cells):
        parameters = plan.parameters(cell)
        inputs = {
            client: answer(client, parameters, model, number) for client in members
        }
        results[cell] = secagg.simulate(parameters, inputs)
    verdict = judge.judge(
        model, plan.collect(results, norm_bound=NORM), lambda flat: accuracy(flat, root)
    )
    model, left_out = verdict.model, [*left_out, sorted(verdict.rejected)]
print(f"with cells and a rule: {accuracy(model):.2f}")
print(f"cells left out, by round: {left_out}")
dirty = {cell for cell, members in enumerate(cells.cells) if LIARS & set(members)}
assert accuracy(model) > 0.8
assert all(dirty <= set(out) for out in left_out)
assert set(left_out[0]) > dirty

# %% [markdown]
# In the first round a clean cell was left out, too: such a rule would rather lose a
# cell than believe one that falls behind. And there is a price: honest clients that
# share a cell with a liar have no voice either, and the server learns a sum for each
# cell, which tells more than a sum of thirty. Each client guards that it is in no sum
# but that of its own whole cell, for one question a round: sums over changing groups,
# or of changing bounds, would give single clients away in time.

# %%
model, number = np.zeros(650), ROUNDS
plan = robust.CellRound(cells, {"update": UPDATE}, digest(model), number)
narrow = secagg.FixedPoint(650, clip=0.01, rounding="nearest", aggregate="mean")
other_bounds = robust.CellRound(cells, {"update": narrow}, digest(model), number)
inside, outside = cells.cells[0][0], cells.cells[1][0]
for client, asked in ((outside, plan), (inside, plan), (inside, other_bounds)):
    try:
        guards[client].admit(asked.parameters(0), model=digest(model), number=number)
        print(f"client {client} takes part")
    except secagg.ParticipationRefusedError as error:
        say(f"client {client}: {error}")

# %% [markdown]
# ## A server that lies
#
# In the first sum a server made up a hospital, and was refused. Here is a finer lie. If
# client 5 drops out, the others reveal what takes its *mask key* away; if it stays,
# what takes its *own mask* away. Whoever has both of one client reads its input. So the
# server forks: to some it says that all five are there, to the others that client 5 is
# gone.

# %%
cohort = [1, 2, 3, 4, 5]
keys = {client: secagg.IdentityKey.generate() for client in cohort}
roster = {client: key.public for client, key in keys.items()}
parameters = secagg.SessionParameters.choose(
    clients=cohort,
    vectors={"x": secagg.Integers(0, 9, length=1)},
    threat_model="active",
    max_dropout=0.2,
    max_corrupt=0.0,
)
server = secagg.ServerSession(parameters, roster=roster)
clients = {
    client: secagg.ClientSession(
        server.offer,
        client,
        identity=keys[client],
        roster=roster,
        policy=secagg.ClientPolicy(max_corrupt=0.0),
    )
    for client in cohort
}
for client, session in clients.items():
    session.set_input({"x": np.array([client])})
while server.round is not secagg.Round.MASKED_INPUT:
    for client, request in server.requests.items():
        server.receive(client, clients[client].receive(request))
    server.close_round()

answers = {
    client: clients[client].receive(request)
    for client, request in server.requests.items()
}
everybody, without_5 = (
    secagg.ServerSession.resume(server.snapshot(), roster=roster) for _ in range(2)
)
for client, masked in answers.items():
    everybody.receive(client, masked)
    if client != 5:
        without_5.receive(client, masked)

# %% [markdown]
# Before anybody reveals anything, each client signs the list that it was shown, and
# reveals only to a list that at least `threshold` have signed, itself among them: three
# of five here. Two lists never have so many, since nobody signs both; a client that does,
# on the server's side, is what `max_corrupt` is for, which is none here.

# %%
assert 2 * parameters.threshold > len(cohort)
for fork, told in ((everybody, (1, 2, 3, 5)), (without_5, (4,))):
    fork.close_round()
    for client in told:
        fork.receive(client, clients[client].receive(fork.requests[client]))
    asked = dict(fork.requests)
    fork.close_round()
    print(f"told {told}:", fork.abort_reason.name if fork.abort_reason else "goes on")
assert everybody.abort_reason is None
assert without_5.abort_reason is secagg.AbortReason.TOO_FEW_CONFIRMERS

# %% [markdown]
# Could it ask client 1, which has signed one list, to sign the other one?

# %%
try:
    clients[1].receive(asked[1])
    raise AssertionError("client 1 signs two lists")
except secagg.PeerMisbehaved as error:
    say(error)

# %% [markdown]
# ## The difference of two sums
#
# No lie at all is needed for this one. A server sums the same twenty updates twice; in
# the second sum one client is missing. The difference is its update, and in this small
# model an update *shows the picture* that it was made from. `secagg.privacy.lab` has
# the attacks that the library's own report is made of; nothing in it protects anybody.

# %%
pictures, attacked, victim = digits.load_digits(), models.softmax_regression(0.05, 3), 7
group = range(20)  # each client has one picture
updates = {
    client: inversion.update_of_one(attacked, pictures, client, 1.0).arrays()
    for client in group
}
specs = {
    name: secagg.FixedPoint(shape=shape, clip=1.0)
    for name, shape in attacked.shapes.items()
}


def summed(parameters, inputs, lost=()):
    """One session."""
    return secagg.simulate(parameters, inputs, dropouts={"masked_input": list(lost)})


parameters = secagg.SessionParameters.choose(
    clients=group, vectors=specs, context=b"model 1"
)
first = summed(parameters, updates)
second = summed(parameters.renew(), updates, lost=[victim])
difference = {name: first.vectors[name] - second.vectors[name] for name in specs}
label = int(pictures.labels[victim])
read = inversion.read_picture(attacked.of(difference).layers[0], label)
found = inversion.Gallery(pictures.images).nearest(read)
print(f"the picture is that of client {found}")
assert found == victim

# %% [markdown]
# **What a client can do:** remember, beyond sessions, what its input went into, and
# refuse a second sum of the same model. It computes by itself what the model is called,
# and takes part under no other name: a server that may say another one has another sum.

# %%
careful = {
    "policy": secagg.ClientPolicy(context=b"model 1", sums_per_context=1),
    # In earnest a file: secagg.store.participations.
    "participations": secagg.MemoryParticipationLedger(),
}
renamed = parameters.renew(context=b"model 1, another name")
for offered in (parameters, renamed, parameters.renew()):
    server = secagg.ServerSession(offered)
    try:
        sessions = {
            client: secagg.ClientSession(
                server.offer, client, **(careful if client == victim else {})
            )
            for client in group
        }
    except secagg.PeerMisbehaved as error:
        say(f"client {victim}: {error}")
        continue
    except secagg.ParticipationRefusedError as error:
        say(f"client {victim}: {error}")
        break
    for client, session in sessions.items():
        session.set_input(updates[client])
    while server.round is not None:
        for client, request in server.requests.items():
            if message := sessions[client].receive(request):
                server.receive(client, message)
        server.close_round()
    print(f"a sum of {len(server.result.contributors)}")

# %% [markdown]
# That helps against this server, and not against somebody who *knows* the other
# nineteen updates and subtracts them. **Only noise does**, as part of what is summed:
# with a plan over two rounds the same two sums, and the same difference, give this.

# %%
noisy = privacy.Plan.choose(
    arrays=attacked.shapes,
    clip=1.0,
    epsilon=8.0,
    delta=1e-5,
    clients=20,
    rounds=2,
    minimum_contributors=18,
    max_corrupt=0.05,
)
budgets = {
    client: privacy.MemoryBudget(8.0, 1e-5, client=client, data_set="pictures")
    for client in group
}
means = []
for lost in ((), (victim,)):
    parameters = noisy.parameters(group, context=b"model 1")
    inputs = {
        client: budgets[client].spend(
            noisy, noisy.privatize(update, parameters=parameters), parameters
        )
        for client, update in updates.items()
    }
    release = noisy.decode(summed(parameters, inputs, lost), parameters=parameters)
    means.append(
        {name: array * release.contributors for name, array in release.mean.items()}
    )
hidden = {name: means[0][name] - means[1][name] for name in specs}
read_noisy = inversion.read_picture(attacked.of(hidden).layers[0], label)

figure, axes = plt.subplots(1, 3, figsize=(5.6, 2.2))
titles = ("client 7's picture", "from two exact sums", "from two with noise")
shown = (pictures.images[victim], read, read_noisy)
for axis, title, picture in zip(axes, titles, shown, strict=True):
    axis.pcolormesh(picture.reshape(8, 8)[::-1], cmap="gray")
    axis.set(title=title, xticks=[], yticks=[], aspect="equal")
plt.show()


# %%
def distance(arrays):
    """From the victim's update, in lengths of it."""
    off = attacked.of(arrays).plus(attacked.of(updates[victim]), -1.0)
    return off.norm / attacked.of(updates[victim]).norm


print(f"exact: off by less than a hundredth: {distance(difference) < 0.01}")
print(f"noisy: off by more than ten lengths: {distance(hidden) > 10}")
assert distance(difference) < 0.01
assert distance(hidden) > 10

# %% [markdown]
# Twenty clients are few to share noise among: such sums teach a model little. `secagg
# privacy report --out DIR` measures what is left of accuracy, and of attacks, for a
# hundred clients.
#
# ## What nothing here protects from
#
# - **Backdoors.** A rule with data of the server's own keeps accuracy. An update that
#   is good on all of these and wrong on pictures with a mark in the corner passes.
# - **Liars in every cell**, or more liars than you said.
# - **Whoever writes the clients' program.** It reads what the clients read.
# - **More clients on the server's side** than `max_corrupt`: then masks fall, and noise
#   that was shared with them.
# - **Timing and presence:** that you took part, when, and that you left.
# - **A server that ends sessions.** You have no sum; it may have one all the same, if it
#   ended the session after the last answers.
#
# Next: choose the size of cells, a rule and ε together ([clients that
# lie](../robustness.md#choosing-g-a-rule-and-epsilon-together)), or run the attacks
# against your own model: `secagg demo --attack sign-flip --defence siren`.
