"""The example app in Flower's simulation, with nodes that leave on purpose: a process of its own, for Ray.

`python -m tests.integrations.flower.simulated_run`, with DIGITS_KEYS and DIGITS_REPORT set, and the example's
directory on PYTHONPATH.
"""

from __future__ import annotations

from flower_digits import client_app, server_app
from flwr.app import ConfigRecord, Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.simulation import run_simulation

from secagg.integrations.flower import secagg_mod
from secagg.integrations.flower.step import App
from tests.integrations.flower.simulated_leaving import CLIENTS, LEAVING


def leave(message: Message, context: Context, app: App) -> Message:
    """Leave when it is time to; the node counts its own sessions, because no message tells the round of training."""
    head = message.content.config_records["secagg"]
    counter = context.state.config_records.get("sessions", ConfigRecord({"count": 0}))
    if head.get("stage") == "advertise_keys":
        counter["count"] += 1  # type: ignore[operator]
    context.state["sessions"] = counter
    if (counter["count"], head.get("stage"), context.node_config["partition-id"]) in LEAVING:
        return Message(Error(ErrorCode.CLIENT_APP_CRASHED, "this node leaves"), reply_to=message)
    return app(message, context)


if __name__ == "__main__":
    leaving = ClientApp(mods=[leave, secagg_mod(client_app.node, metrics=["loss"])])
    leaving.train()(client_app.train)
    run_simulation(server_app=server_app.app, client_app=leaving, num_supernodes=CLIENTS)
