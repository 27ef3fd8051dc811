"""The whole protocol over a transport of your own: here, three dictionaries."""

import numpy as np

import secagg

cohort = [101, 205, 350, 412, 530]
arrays = {client: np.full(8, client / 1000) for client in cohort}
identities = {client: secagg.IdentityKey.generate() for client in cohort}
roster = {client: identity.public for client, identity in identities.items()}  # from your own directory

params = secagg.SessionParameters.choose(
    clients=cohort,
    threat_model="active",
    vectors={"update": secagg.FixedPoint(length=8, clip=1.0, aggregate="mean")},
    max_weight=1000,
    max_dropout=0.2,
    max_corrupt=0.0,
    context=b"digest of the global model, round 7",
)
server = secagg.ServerSession(params, roster=roster)
policy = secagg.ClientPolicy(minimum_cohort=5, context=params.context)
clients = {
    client: secagg.ClientSession(server.offer, client, identity=identities[client], roster=roster, policy=policy)
    for client in cohort
}
for client, session in clients.items():
    session.set_input({"update": arrays[client]}, weight=600)

requests = server.requests
while server.round is not None:
    for client, request in requests.items():
        if server.round is secagg.Round.UNMASKING and client == 205:
            continue  # this one just lost its connection; its input is in, and the sum survives
        answer = clients[client].receive(request)
        if answer is not None:
            server.receive(client, answer)
    requests = server.close_round()

mean = server.result.vectors["update"]
print(f"mean over {len(server.result.contributors)} clients: {mean.round(4)}")
