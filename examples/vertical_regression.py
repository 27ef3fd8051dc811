"""Four parties hold different features of the same people and train one logistic regression; no table leaves its party.

People are found by tags, a keyed hash of their ids; the key is the parties' own. In each iteration every party computes
its part of each person's score, its own columns times its own weights, and the parts are summed in a session whose
clients are the parties. The label holder gets the sum, and sends the residual back, sealed from the server; from that
each party computes the gradient of its own weights, which it keeps.

A sum without one party, less the sum before it, would be nearly that party's part. So an iteration has all four or no
sum: each party refuses sessions that release less, and whoever leaves costs that iteration. A residual that only one
party gets would do the same: of the next sum, less the one before, only that party's part is new. So the context of a
session names all residuals so far; a party that missed one, got another one or one twice is in no session with the
others, and asks for what it missed before it joins the next.

**What this does not hide.** The label of everyone, from every party: the sign of the residual is the label. The sum of
each person's score, from the label holder, and from every party, which has it from residual and label; three parties
together see the fourth's part. From the server: the sums, in an order that it does not know and that changes (though
scores that move little can be followed), and tags, by which it counts people, compares parties and knows a person of
one run in the next. Whoever has the key, every party, can hash an id that it guesses and see whether that person is
there. A server that gives the label holder other sums spoils the model, or steers it, and nothing here notices. The
server together with a party sees what the label holder sees; together with two, nothing is promised to the others.

A label holder that lies makes up residuals, which nobody can check, and so does any other party that the server helps,
as all have the key that seals them: after one that is 0 but for one person, the next sum shows how alike everybody is
to that person. So the parties trust each other to follow the protocol, or take noise.

**And sums of the same people under changing weights add up.** Scores are linear in the features, so the sums of as many
iterations as there are features can fix all features up to one linear map, and whoever knows some people wholly solves
for the rest: `guessed` does so, and its success is printed. Small batches make it easier: after a step on few people,
everybody's score moves by their likeness to these few. A party does not begin with less than LEAST_PEOPLE.

With --epsilon, noise hides one party's columns, all of them, in the sums of all iterations, from the server together
with any *one* other party, even if both lie and residuals are made up. Not covered: labels; who is there; two parties
together. A person is in the columns of four parties, so what all four have of one person is protected by up to four
times that epsilon only, and a delta that grows by more.
"""

import argparse
import hashlib
import secrets

import numpy as np
from nacl.secret import SecretBox
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import secagg
from secagg import privacy

PARTIES = {1: "clinic", 2: "laboratory", 3: "imaging", 4: "registry"}
LABEL_HOLDER = 1
ITERATIONS, RATE, MOMENTUM, RIDGE = 100, 0.6, 0.9, 3.0
PRIVATE_ITERATIONS = 20  # noise grows with their number
SCORES = secagg.FixedPoint(1, clip=64.0, bits=24)  # of one party's part of one score, in sessions without noise
NORM = 20.0  # with noise: largest L2 norm of one party's parts of all scores of a batch
LEAST_PEOPLE = 100  # with fewer in a batch a party does not begin
TEST = "test"


def keyed(key, purpose, text, size=16):
    """A hash that only who has the key can compute."""
    return hashlib.blake2b(text, key=key, person=purpose, digest_size=size).digest()


def specification(people):
    """The vector of a session: an entry for each person."""
    return {"scores": secagg.FixedPoint(people, clip=SCORES.clip, bits=SCORES.bits)}


class Party:
    """Whoever has columns. It believes its own settings: all parties or no sum, and one sum for an iteration."""

    def __init__(self, number, rows, key, identity, roster, plan=None):
        self.number, self.key, self.identity, self.roster, self.plan = number, key, identity, roster, plan
        self.rows = {keyed(key, b"tag", person.encode()): row for person, row in rows.items()}
        self.ledger = secagg.MemoryLedger()  # a process that does not live as long: secagg.store.answers
        # Over all that is ever made of these columns; privacy.FileBudget outlives the process.
        self.budget = plan and privacy.MemoryBudget(plan.epsilon, plan.delta, client=number)
        self.residuals, self.history = {}, b""

    def meet(self, common, batch):
        """Begin with the people that all have, as the server says; a quarter of them, by the key, is for the test."""
        if not set(common) <= self.rows.keys() or len(set(common)) < len(common):
            raise ValueError("the server names people that this party did not, or somebody twice")
        order = self.order(common, "split")
        self.test, self.people = order[: len(order) // 4], order[len(order) // 4 :]
        self.batch = batch or len(self.people)
        if not LEAST_PEOPLE <= self.batch <= len(self.people):
            raise ValueError(f"a batch of {self.batch} of {len(self.people)} people is not {LEAST_PEOPLE} or more")
        known = np.array([self.rows[tag] for tag in self.people])
        self.mean, self.scale = known.mean(axis=0), known.std(axis=0)
        self.weights = np.zeros(self.columns(self.people).shape[1])
        self.speed = np.zeros_like(self.weights)

    def order(self, tags, what):
        """Tags in an order that the server does not know."""
        return sorted(tags, key=lambda tag: keyed(self.key, b"order", what.encode() + tag))

    def asked(self, iteration):
        """Who is in a sum, in which order: what the key says, not the server."""
        return self.order(self.test, TEST) if iteration == TEST else self.order(self.people, iteration)[: self.batch]

    def about(self, iteration):
        """What a session of these people says that it is, after these residuals, for who has the key: its context."""
        people = keyed(self.key, b"people", b"".join(self.asked(iteration)))
        return f"vertical regression, {iteration}, ".encode() + people + keyed(self.key, b"history", self.history)

    def columns(self, tags):
        """Own features of these people, each of mean 0 and deviation 1 over those in training."""
        return (np.array([self.rows[tag] for tag in tags]) - self.mean) / self.scale

    def part(self, iteration):
        """This party's part of the scores."""
        return self.columns(self.asked(iteration)) @ self.weights

    def joins(self, offer, iteration):
        """A session of all parties about an iteration, or a refusal."""
        context = self.about(iteration)
        policy = secagg.ClientPolicy(
            minimum_cohort=len(PARTIES),
            minimum_contributors=len(PARTIES),
            threat_model="active",
            max_corrupt=1 / len(PARTIES),
            context=self.plan.bind(context) if self.plan else context,
            vectors=None if self.plan else specification(len(self.asked(iteration))),
        )
        session = secagg.ClientSession(
            offer,
            self.number,
            identity=self.identity,
            roster=self.roster,
            policy=policy,
            ledger=self.ledger,
            reuse=secagg.InputReuse(name=iteration.encode()),
        )
        if self.plan:
            self.plan.check(session.parameters, policy)
        return session

    def gives(self, session, iteration):
        """Set the input: this party's part, with its share of the noise where there is a plan."""
        if self.plan is None:
            session.set_input({"scores": self.part(iteration)})
            return
        private = self.plan.privatize({"scores": self.part(iteration)}, parameters=session.parameters)
        session.set_input(self.budget.spend(self.plan, private, session.parameters))

    def box(self, iteration):
        """What seals a residual from the server, for one iteration."""
        return SecretBox(keyed(self.key, b"residual", iteration.encode(), SecretBox.KEY_SIZE))

    def follow(self, sealed):
        """Descend by the residuals that this party does not have yet, in the order in which the server has them."""
        for iteration in sealed:
            if iteration not in self.residuals:
                self.step(sealed[iteration], iteration)

    def step(self, sealed, iteration):
        """Descend by a residual, once; raises CryptoError for one of another iteration, or of the server's making."""
        if iteration in self.residuals:
            raise ValueError(f"the residual of {iteration} came already")
        opened = self.box(iteration).decrypt(sealed)
        residual = np.frombuffer(opened)
        slope = self.columns(self.asked(iteration)).T @ residual / self.batch + RIDGE / len(self.people) * self.weights
        # On a part of the people a step is as much shorter, so that chance in who is asked averages out.
        self.speed = MOMENTUM * self.speed - RATE * self.batch / len(self.people) * slope
        self.weights = self.weights + self.speed
        self.residuals[iteration] = residual
        self.history = keyed(self.key, b"step", self.history + keyed(self.key, b"name", iteration.encode()) + opened)


class LabelHolder(Party):
    """The party that also has what is to be learnt, and the intercept; it gets the sums."""

    def __init__(self, number, rows, labels, key, identity, roster, plan=None):
        super().__init__(number, rows, key, identity, roster, plan)
        self.labels = {keyed(key, b"tag", person.encode()): label for person, label in labels.items()}
        self.sums = {}

    def columns(self, tags):
        """Own features, and 1."""
        return np.hstack([super().columns(tags), np.ones((len(tags), 1))])

    def truth(self, iteration):
        """Labels, in the order of a sum."""
        return np.array([self.labels[tag] for tag in self.asked(iteration)])

    def residual(self, scores, iteration):
        """Chance less label for each person, for the parties alone."""
        self.sums[iteration] = scores
        return self.box(iteration).encrypt((expit(scores) - self.truth(iteration)).tobytes())


class Server:
    """Carries messages and sums. It has no key, no label and no table; what it sees is kept for the end."""

    def __init__(self, roster, plan=None):
        self.roster, self.plan = roster, plan
        self.tags, self.sums, self.sealed, self.messages, self.failed = {}, {}, {}, [], {}

    def common(self, tags):
        """Who is everywhere."""
        self.tags = tags
        return sorted(set.intersection(*map(set, tags.values())))

    def sum(self, parties, iteration, leaves=()):
        """The sum that the label holder asks for, by a session in which some leave before a round; or None."""
        people, context = len(parties[LABEL_HOLDER].asked(iteration)), parties[LABEL_HOLDER].about(iteration)
        if self.plan:
            parameters = self.plan.parameters(sorted(PARTIES), context, max_dropout=0.0)
        else:
            parameters = secagg.SessionParameters.choose(
                clients=sorted(PARTIES),
                vectors=specification(people),
                threat_model="active",
                max_dropout=0.0,
                max_corrupt=1 / len(PARTIES),
                minimum_contributors=len(PARTIES),
                context=context,
            )
        session = secagg.ServerSession(parameters, roster=self.roster)
        clients = {number: party.joins(session.offer, iteration) for number, party in parties.items()}
        try:
            while session.round is not None:
                for number, request in session.requests.items():
                    if (session.round.value, number) in leaves:
                        continue
                    if session.round is secagg.Round.MASKED_INPUT:
                        parties[number].gives(clients[number], iteration)
                    if answer := clients[number].receive(request):
                        self.messages.append(answer)
                        session.receive(number, answer)
                session.close_round()
            self.sums[iteration] = self.decoded(session)
        except secagg.SessionAbortedError as error:
            self.failed[iteration] = str(error)
        return self.sums.get(iteration)

    def decoded(self, session):
        """The sum of all parts."""
        if self.plan is None:
            return session.result.vectors["scores"]
        return len(PARTIES) * self.plan.decode(session.result, parameters=session.parameters).mean["scores"]


def train(tables, labels, *, iterations=ITERATIONS, batch=None, epsilon=None, leaves=None, key=None):
    """Return parties and server after the descent; here all of them are in this process.

    Args:
        tables: party to rows of its columns, by id.
        labels: by id; the label holder's.
        iterations: how many are tried.
        batch: people in an iteration; None for all.
        epsilon: of the noise over all iterations; None for none.
        leaves: iteration to (round, party) of those that leave in it.
        key: agreed among the parties, by a channel that is not the server's; None draws one.
    """
    key = key or secrets.token_bytes(32)
    identities = {number: secagg.IdentityKey.generate() for number in PARTIES}
    roster = {number: identity.public for number, identity in identities.items()}
    common = len(set.intersection(*(set(rows) for rows in tables.values())))
    plan = epsilon and privacy.Plan.choose(
        arrays={"scores": (batch or common - common // 4,)},
        clip=NORM,
        epsilon=epsilon,
        delta=1e-5,
        clients=len(PARTIES),
        rounds=iterations,
        minimum_contributors=len(PARTIES),
        max_corrupt=1 / len(PARTIES),
        max_dropout=0.0,
        threat_model="active",
        neighbours="replace",
    )
    holder = LabelHolder(LABEL_HOLDER, tables[LABEL_HOLDER], labels, key, identities[1], roster, plan)
    others = {n: Party(n, tables[n], key, identities[n], roster, plan) for n in PARTIES if n != LABEL_HOLDER}
    parties, server = {LABEL_HOLDER: holder, **others}, Server(roster, plan)
    everywhere = server.common({number: sorted(party.rows) for number, party in parties.items()})
    for party in parties.values():
        party.meet(everywhere, batch)
    for number in range(iterations):
        iteration = f"iteration {number}"
        scores = server.sum(parties, iteration, (leaves or {}).get(number, ()))
        if scores is None:
            continue  # nobody moves; the next iteration has new keys, and one more chance
        server.sealed[iteration] = holder.residual(scores, iteration)
        for party in parties.values():
            party.follow(server.sealed)
    return parties, server


def figures(scores, truth):
    """Accuracy, area under the ROC curve, and log loss."""
    return np.mean((scores > 0) == truth), roc_auc_score(truth, scores), log_loss(truth, expit(scores))


def plain(parties):
    """Figures of the same regression, trained where all columns are in one table, which only this program has."""
    holder = parties[LABEL_HOLDER]
    table, test = (
        np.hstack([p.columns(tags) for p in parties.values()]) for tags in (holder.people, holder.asked(TEST))
    )
    model = LogisticRegression(C=1 / RIDGE, fit_intercept=False, max_iter=1000)
    model.fit(table, [holder.labels[tag] for tag in holder.people])
    return figures(model.decision_function(test), holder.truth(TEST))


def guessed(parties, victim=4, known=60):
    """How well the label holder guesses a party's columns, if it knows some people wholly: without sums, and with them.

    Returns:
        The median, over the columns, of the correlation of guess and truth over everybody else.
    """
    holder = parties[LABEL_HOLDER]
    place = {tag: row for row, tag in enumerate(holder.people)}
    sums = np.zeros((len(holder.people), len(holder.sums)))
    for column, (iteration, scores) in enumerate(holder.sums.items()):
        sums[[place[tag] for tag in holder.asked(iteration)], column] = scores
    truth, found = parties[victim].columns(holder.people), []
    for seen in (holder.columns(holder.people), np.hstack([holder.columns(holder.people), sums])):
        guess = seen @ np.linalg.lstsq(seen[:known], truth[:known], rcond=1e-5)[0]
        pairs = zip(guess[known:].T, truth[known:].T, strict=True)
        found.append(float(np.median([np.corrcoef(*pair)[0, 1] for pair in pairs])))
    return found


def made_up_parties(seed=7):
    """Breast cancers (Wolberg et al., 1995) by columns; each party misses a few of the people."""
    draw = np.random.default_rng(seed)
    features, truth = load_breast_cancer(return_X_y=True)
    ids = [f"patient {number}" for number in draw.permutation(10 * len(truth))[: len(truth)]]
    tables = {}
    for number, columns in zip(PARTIES, np.array_split(draw.permutation(features.shape[1]), len(PARTIES)), strict=True):
        there = draw.random(len(ids)) < 0.97
        tables[number] = {ids[row]: features[row, columns] for row in np.flatnonzero(there)}
    return tables, dict(zip(ids, truth.tolist(), strict=True))


def labels_read(party, labels):
    """Which part of the labels a party reads from the residuals of all iterations: of a label 1 none is above 0."""
    total = dict.fromkeys(party.people, 0.0)
    for iteration, residual in party.residuals.items():
        for tag, value in zip(party.asked(iteration), residual, strict=True):
            total[tag] += value
    return np.mean([(total[tag] < 0) == labels[tag] for tag in party.people])


def report(parties, server):
    """Print what each has seen."""
    holder = parties[LABEL_HOLDER]
    counts = ", ".join(f"{len(tags)} of {PARTIES[number]}" for number, tags in server.tags.items())
    size = sum(map(len, server.messages)) / 1e6
    print(f"server: tags, {counts}; {len(server.messages)} messages, {size:.1f} MB, masked or sealed")
    print(f"server: {len(server.sums)} sums, in orders it does not know; {len(server.sealed)} sealed residuals")
    print(f"{PARTIES[LABEL_HOLDER]}: {len(holder.sums)} sums for each of {holder.batch} people, and the labels")
    for number, party in parties.items():
        if number != LABEL_HOLDER:
            read = labels_read(party, holder.labels)
            print(f"{PARTIES[number]}: {len(party.residuals)} residuals; their signs give {read:.0%} of the labels")


def main():
    """Train, and say what it cost and who saw what."""
    parser = argparse.ArgumentParser(description="One logistic regression over the columns of four parties.")
    parser.add_argument("--epsilon", type=float, help="add noise, for this promise to each party over all iterations")
    parser.add_argument("--iterations", type=int, help=f"{ITERATIONS} unless given, {PRIVATE_ITERATIONS} with noise")
    parser.add_argument("--batch", type=int, help="people in an iteration; all unless given")
    given = parser.parse_args()
    iterations = given.iterations or (PRIVATE_ITERATIONS if given.epsilon else ITERATIONS)
    tables, labels = made_up_parties()
    rounds = ("share_keys", "masked_input", "unmasking")
    leaves = {number: [(rounds[number % 3], 1 + number % 4)] for number in range(4, iterations, 10)}
    parties, server = train(
        *(tables, labels),
        **{"iterations": iterations, "batch": given.batch, "epsilon": given.epsilon},
        leaves=leaves,
    )
    if given.epsilon:
        print(server.plan.statement)
    print(f"{len(server.sums)} of {iterations} iterations have a sum; in the others a party left, and nobody moved:")
    for iteration, why in list(server.failed.items())[:3]:
        print(f"  {iteration}: {why}")
    report(parties, server)
    if not given.batch:
        without, using = guessed(parties)
        print(f"{PARTIES[LABEL_HOLDER]}, if it knows 60 people wholly, guesses the others' columns at {PARTIES[4]}:")
        print(f"  correlation {without:.2f} by its own columns alone, {using:.2f} with all sums")
    holder = parties[LABEL_HOLDER]
    parts = sum(party.part(TEST) for party in parties.values())  # as only this program can
    scores = parts if given.epsilon else server.sum(parties, TEST)  # to predict is one more sum
    for name, found in (("four parties", figures(scores, holder.truth(TEST))), ("one table", plain(parties))):
        print(f"{name}: accuracy {found[0]:.3f}, AUC {found[1]:.3f}, log loss {found[2]:.3f}")


if __name__ == "__main__":
    main()
