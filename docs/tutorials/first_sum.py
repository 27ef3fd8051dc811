# %% [markdown]
# # A first sum
#
# Five hospitals want to know how old their patients are, all together. None of them may
# show its own numbers, to the others or to whoever adds them up. In ten minutes you
# will have
#
# - chosen the parameters of a session, and given every hospital a key and a roster,
# - moved the messages of a session yourself, and lost a hospital in the middle of it,
# - looked at what the server saw,
# - played a server that lies, and been refused,
# - written down what a hospital accepts: its *policy*.
#
# You need Python 3.11 or later and secagg with its extra `demo`, which brings matplotlib
# for the one picture ([install it](../how_to/installing.md)). No data, no network.
#
# This page is a notebook, at its end to take away: open it in Jupyter, or in an editor
# that has notebooks, change a cell and run it again. Without either, run it as a program,
# in the clone: `python docs/tutorials/first_sum.py`.

# %%
import textwrap
import zlib

import matplotlib.pyplot as plt
import numpy as np

import secagg


def say(words):
    """Print a sentence in lines that fit the page."""
    print(textwrap.fill(str(words), 78))


# %% [markdown]
# ## The data
#
# Each hospital counts its patients by age: one hundred whole numbers. Ours are made up.
# In a real federation each array is on a machine of its own, and no program holds all
# of them as this one does.

# %%
draw = np.random.default_rng(7)
hospitals = {101: 34, 205: 41, 350: 52, 412: 58, 530: 66}  # id: mean age
counts = {
    hospital: np.bincount(
        draw.normal(mean, 15, 600).clip(0, 99).astype(int), minlength=100
    )
    for hospital, mean in hospitals.items()
}
print(counts[101][20:40])

# %% [markdown]
# ## Parameters
#
# A session has one set of parameters, which the server offers and every client binds
# into all of its keys. You say what is summed and what may go wrong; `choose` finds the
# rest, or says why there is no safe choice.

# %%
what = {"patients": secagg.Integers(0, 1000, length=100)}
parameters = secagg.SessionParameters.choose(
    clients=hospitals,
    vectors=what,
    threat_model="active",  # the server may lie
    max_dropout=0.2,  # one of five may leave
    max_corrupt=0.0,  # no hospital sides with the server
    context=b"ages of patients, 2026, first quarter",
)
say(parameters.explanation)

# %% [markdown]
# Each hospital will cut its secrets into shares for the other four. `threshold` is how
# many of these bring a secret back: three *others*, so that four hospitals have to stay.
# `minimum_contributors` is a floor of yours under the sums that are opened; `may_leave`
# is what follows from both: one of five.

# %%
print(parameters.threshold, parameters.minimum_contributors, parameters.may_leave)
assert (parameters.threshold, parameters.may_leave) == (3, 1)

# %% [markdown]
# ## Keys and a roster
#
# In the active model a client signs what it says. Each makes its own key and keeps it.
# The *roster*, which public key belongs to whom, comes from somebody whom the server
# does not control: a ministry, an association, a ceremony.

# %%
keys = {hospital: secagg.IdentityKey.generate() for hospital in hospitals}
roster = {hospital: key.public for hospital, key in keys.items()}
assert {len(public) for public in roster.values()} == {32}

# %% [markdown]
# ## A session
#
# Neither side opens a socket. A server has `requests`, one for each client whose answer
# it waits for; a client turns a request into an answer; both are bytes. Your transport
# carries them, and this loop is what it does. It also keeps what went past, as a
# curious server would.


# %%
def join(offer, hospital, policy=None):
    """A hospital's side of a session, with its input."""
    client = secagg.ClientSession(
        offer, hospital, identity=keys[hospital], roster=roster, policy=policy
    )
    client.set_input({"patients": counts[hospital]})
    return client


def play(server, clients, lost=()):
    """Move messages to the end; `lost` are pairs of a round and who leaves in it."""
    seen = {}
    while (now := server.round) is not None:
        for hospital, request in server.requests.items():
            if (now, hospital) in lost:
                continue
            if answer := clients[hospital].receive(request):
                seen[now, hospital] = answer
                server.receive(hospital, answer)
        server.close_round()  # when `server.ready`, or at your deadline
    return seen


server = secagg.ServerSession(parameters, roster=roster)
clients = {hospital: join(server.offer, hospital) for hospital in hospitals}
seen = play(server, clients)
total = server.result.vectors["patients"]
print(total[20:40])
print(server.result.contributors)
assert (total == sum(counts.values())).all()

# %% [markdown]
# The sum is exact. These were the rounds, and the bytes that one hospital sent in each:

# %%
for (now, hospital), answer in seen.items():
    if hospital == 101:
        print(f"{now.value:18} {len(answer):4} bytes")

# %% [markdown]
# ## A hospital leaves in the middle
#
# Now hospital 412 has shared its keys, and is gone before it sends its input. The
# others' masks for 412 are in the sum and would spoil it; so the remaining four hand
# out the shares that take these masks away, and no others.

# %%
server = secagg.ServerSession(
    parameters.renew(), roster=roster
)  # one set of parameters serves one session
clients = {hospital: join(server.offer, hospital) for hospital in hospitals}
seen_again = play(server, clients, lost={(secagg.Round.MASKED_INPUT, 412)})
rest = server.result.vectors["patients"]
print(server.result.contributors)
assert (rest == total - counts[412]).all()

# %% [markdown]
# Two leave, and there is no sum. That is a promise, too: a server cannot thin a cohort
# out until few are left.

# %%
server = secagg.ServerSession(parameters.renew(), roster=roster)
clients = {hospital: join(server.offer, hospital) for hospital in hospitals}
play(
    server,
    clients,
    lost={(secagg.Round.MASKED_INPUT, 412), (secagg.Round.MASKED_INPUT, 530)},
)
try:
    print(server.result)
except secagg.SessionAbortedError as error:
    say(f"{error.reason.name}: {error}")
    assert error.reason is secagg.AbortReason.TOO_FEW_CONTRIBUTORS

# %% [markdown]
# ## What the server saw
#
# This is the message with hospital 101's masked input. It ends with the packed vector:
# to each count was added a number that is as good as random, in a ring in which sums
# wrap around.


# %%
def payload(transcript, hospital):
    """The end of the message with its masked input."""
    return np.frombuffer(
        transcript[secagg.Round.MASKED_INPUT, hospital][-160:], np.uint8
    )


masked, masked_again = payload(seen, 101), payload(seen_again, 101)

figure, (top, middle, bottom) = plt.subplots(3, figsize=(5.6, 5.2))
top.stairs(counts[101], fill=True)
top.set(title="what hospital 101 has", xlabel="age", ylabel="patients")
middle.plot(masked, ".", markersize=4)
middle.set(
    title="what it sends to the server", xlabel="byte of the message", ylabel="value"
)
bottom.stairs(total, fill=True)
bottom.set(
    title="what the server learns: the sum of five", xlabel="age", ylabel="patients"
)
plt.show()

# %% [markdown]
# Random bytes do not get shorter when compressed; counts do. And in the second session
# the same counts gave other bytes.

# %% tags=["drawn"]
own = counts[101].astype("<u2").tobytes()
print(f"counts: {len(own)} bytes, compressed {len(zlib.compress(own))}")
print(f"masked: {len(masked)} bytes, compressed {len(zlib.compress(masked))}")
assert len(zlib.compress(own)) < len(own)
assert len(zlib.compress(masked)) >= len(masked)
assert (masked == masked_again).mean() < 0.2  # one of 256 by chance

# %% [markdown]
# ## A server that lies
#
# Why does the roster not come from the server? Suppose it does all it can: it gives
# *itself* a roster in which the key of hospital 350 is its own, and plays 350. If the
# others took that key, the server would know all masks between them and "350", and with
# more such puppets it would know everything about one hospital.

# %%
puppet = secagg.IdentityKey.generate()  # the server's own
forged = roster | {350: puppet.public}
liar = secagg.ServerSession(parameters.renew(), roster=forged)
clients = {
    hospital: join(liar.offer, hospital) for hospital in hospitals if hospital != 350
}
clients[350] = secagg.ClientSession(liar.offer, 350, identity=puppet, roster=forged)
for hospital, request in liar.requests.items():  # everybody advertises keys
    liar.receive(hospital, clients[hospital].receive(request))
liar.close_round()

refused = 0
for hospital, request in liar.requests.items():
    if hospital != 350:
        try:
            clients[hospital].receive(request)
        except secagg.PeerMisbehaved as error:
            refused += 1
            say(f"hospital {hospital}: {error}")
            assert error.violation is secagg.Violation.ADVERTISEMENT_SIGNATURE_INVALID
assert refused == 4

# %% [markdown]
# Each honest hospital has left, before anything that depends on its input was made. A
# refusal names the rule that was broken; the
# [specification](../../protocol_specs/secagg-v1.md) lists them all.
#
# ## Policy: what a client accepts
#
# The server also writes the offer, so a lie may look like a choice: "two hospitals
# today", "the sum of another question". What a client would never take part in belongs
# into its policy, which is configured on its own machine. An offer below it is refused
# before a key is made.

# %%
policy = secagg.ClientPolicy(
    minimum_cohort=5,
    minimum_contributors=3,
    threat_model="active",
    max_corrupt=0.0,  # as agreed; 0.1 of the cohort unless said otherwise
    context=parameters.context,
    vectors=what,
)
agreed = secagg.ServerSession(parameters.renew(), roster=roster)
print(join(agreed.offer, 101, policy).phase)

fewer = secagg.SessionParameters.choose(
    clients=[101, 205, 350],
    vectors=what,
    threat_model="active",
    max_corrupt=0.0,
    context=parameters.context,
)
another = parameters.renew(context=b"patients with a certain disease")
for offered in (fewer, another):
    try:
        join(secagg.ServerSession(offered, roster=roster).offer, 101, policy)
        raise AssertionError("hospital 101 takes part in what it would not")
    except secagg.PeerMisbehaved as error:
        say(error)

# %% [markdown]
# ## What you have, and what you have not
#
# The server, and everybody who reads the result, learns the sum and who is in it. No
# message tells more about one hospital, although the server lies and one hospital
# leaves, as long as none of the others sides with the server: that is what
# `max_corrupt=0.0` says, and six could bear one. But **the sum itself tells
# something**: whoever knows the counts of four hospitals subtracts them and has the
# fifth. Against that only noise helps, in [a histogram with privacy](histogram.ipynb).
# And a hospital that sends wrong counts spoils the sum, and no mask shows it: [under
# attack](under_attack.ipynb).
#
# Next, take the loop into your own transport: [embedding](../embedding.md) has a host's
# duties. Or let others move the bytes: [in Flower](flower.ipynb), or the
# [service](../operations.md).
