"""Flower's and NVFLARE's clients, in environments of their own: rows 38 and 39."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import m

STEP: Final = "integrations/flower/step.py"
EXECUTOR: Final = "integrations/nvflare/executor.py"
CONTRIBUTION: Final = "integrations/contribution.py"

MUTATIONS: Final = (
    m(
        "38",
        "the app computes before the shares are opened",
        (
            STEP,
            "            answer = session.receive(asked.request)\n        except LocalProtocolError:",
            "            if records.PLAN in message.content:\n                raise LocalProtocolError\n"
            "            answer = session.receive(asked.request)\n        except LocalProtocolError:",
        ),
    ),
    m("38", "an old roster is taken", ("integrations/flower/node.py", "minimum_serial=serial)", "minimum_serial=1)")),
    m(
        "38",
        "bounds of whole numbers are the server's",
        (STEP, "        require_counts_that_are_known(session.parameters, {})\n", ""),
    ),
    m("38", "weight and metrics are the server's to name", (STEP, "        self._require_names(plan)\n", "")),
    m(
        "38",
        "an app that fails makes its node leave",
        (CONTRIBUTION, "    except Exception as error:", "    except KeyError as error:"),
    ),
    m(
        "38",
        "what an app raises goes to the server",
        (CONTRIBUTION, "    except (Exception, SystemExit) as error:", "    except KeyError as error:"),
    ),
    m(
        "38",
        "a default that ordinary data reaches",
        ("integrations/flower/config.py", "DEFAULT_MAX_WEIGHT: Final = 1 << 24", "DEFAULT_MAX_WEIGHT: Final = 1000"),
    ),
    m(
        "38",
        "the server is not told what was limited",
        (
            CONTRIBUTION,
            "    report = Report(0, int(encoded.weight_clipped), int(bool(limited)), entries)",
            "    report = Report()",
        ),
    ),
    m("38", "clients without an input are not counted", (CONTRIBUTION, "Report(without_input=1)", "Report()")),
    m("38", "the outcome does not warn", (CONTRIBUTION, "        if self.weights_limited:", "        if False:")),
    m(
        "38",
        "arrays that did not come end the node's part",
        ("integrations/flower/plan.py", "numpy_of(given[key]) if key in given else base[key]", "numpy_of(given[key])"),
    ),
    m(
        "38",
        "a session without weight changes the model",
        ("integrations/flower/session.py", "{} if result.total_weight == 0 else ", ""),
    ),
    m(
        "39",
        "the learner computes before the shares are opened",
        (
            EXECUTOR,
            "            answer = session.receive(asked.request)\n        except LocalProtocolError:",
            "            if asked.plan is not None:\n                raise LocalProtocolError\n"
            "            answer = session.receive(asked.request)\n        except LocalProtocolError:",
        ),
    ),
    m("39", "an old roster is taken", ("integrations/nvflare/site.py", "minimum_serial=serial)", "minimum_serial=1)")),
    m(
        "39",
        "a learner that fails makes its site leave",
        (CONTRIBUTION, "    except Exception as error:", "    except KeyError as error:"),
    ),
    m(
        "39",
        "bounds of counts are the server's",
        (EXECUTOR, "        require_counts_that_are_known(session.parameters, known)\n", ""),
    ),
)
