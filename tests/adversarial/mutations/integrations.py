"""Flower's and NVFLARE's clients, in environments of their own: rows 38 to 41; and what both ask of arrays: row 46."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import m

STEP: Final = "integrations/flower/step.py"
EXECUTOR: Final = "integrations/nvflare/executor.py"
CONTRIBUTION: Final = "integrations/contribution.py"
OWN_CELLS: Final = "integrations/own_cells.py"
CELL_SESSIONS: Final = "integrations/cell_sessions.py"
CELLS: Final = "integrations/flower/cells.py"
NVFLARE_CELLS: Final = "integrations/nvflare/cells.py"
SELECTION: Final = "integrations/selection.py"

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
        (STEP, "require_counts_that_are_known(session.parameters, self._alarms(session.parameters))", "pass"),
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
            "            answer = session.client.receive(asked.request)\n        except LocalProtocolError:",
            "            if asked.plan is not None:\n                raise LocalProtocolError\n"
            "            answer = session.client.receive(asked.request)\n        except LocalProtocolError:",
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
        (EXECUTOR, "            require_counts_that_are_known(session.parameters, known)\n", ""),
    ),
    m(
        "40",
        "cells are admitted unseen",
        (
            OWN_CELLS,
            "        guard.admit(parameters, model=Said.from_bytes(data).model, number=ROUND, plan=plan, kind=kind)\n",
            "",
        ),
    ),
    m(
        "40",
        "whole cohorts leave no record",
        (OWN_CELLS, "            admit_whole_cohort(client, ledger=ledger, allow_regrouping=self.regroupings)\n", ""),
    ),
    m(
        "40",
        "training under the name of an evaluation",
        (
            STEP,
            "        self._admit(message, session.parameters, private)\n        require_told",
            "        require_told",
        ),
    ),
    m(
        "40",
        "one function of an app by two names",
        ("integrations/flower/records.py", 'message_type).removesuffix(".default")', "message_type)"),
    ),
    m("40", "one client outweighs its cell", (OWN_CELLS, "if parameters.max_weight > 1 and not plan:", "if False:")),
    m("40", "the owner's cells are not compared", (OWN_CELLS, "if own is not None and own != theirs:", "if False:")),
    m(
        "40",
        "the owner's ids are not compared",
        (OWN_CELLS, "if self.clients is not None and self.clients != set(said.clients):", "if False:"),
    ),
    m(
        "40",
        "a server's cells are believed in the active model",
        (OWN_CELLS, "(self.seed is None or self.clients is None)", "False"),
    ),
    m(
        "40",
        "an owner's cells leave whole cohorts open",
        (OWN_CELLS, "            if self.size is None:", "            if True:"),
    ),
    m("40", "any floor", (OWN_CELLS, '{"floor": self.floor, ', '{"floor": 2, ')),
    m(
        "40",
        "ids without an end",
        (OWN_CELLS, "if len(said.clients) > policy.maximum_cohort:", "if False:"),
    ),
    m(
        "40",
        "the instruction is not that of the cell",
        (STEP, "context = seat.context(context)", "context = session.parameters.context"),
    ),
    m("40", "alarms that the owner does not know of", (STEP, "if ALARM not in self._metrics:", "if False:")),
    m(
        "40",
        "long updates go out as they are",
        ("integrations/flower/plan.py", "packed if self.norm is None else clip_norm(packed, self.norm)", "packed"),
    ),
    m("40", "proofs of a lie are not looked for", (CELLS, "norm=None if private else task.plan.norm", "norm=None")),
    m(
        "40",
        "a cell goes on without those that are away",
        (CELL_SESSIONS, "if absent := [client for client in cell if client not in here]:", "if absent := []:"),
    ),
    m(
        "40",
        "too few cells for the strategy",
        ("integrations/flower/grid.py", "            self._fewest.require_this_round(outcome)\n", "            pass\n"),
    ),
    m(
        "41",
        "cells are no part of what a site admits",
        (
            EXECUTOR,
            "            asked.cells,\n            site.client_id,",
            "            None,\n            site.client_id,",
        ),
    ),
    m(
        "41",
        "a job's process forgets cells",
        (EXECUTOR, "self._ledger if site.ledger is None else site.ledger", "self._ledger"),
    ),
    m(
        "41",
        "the instruction is not that of the cell",
        (EXECUTOR, "context = opened.seat.context(context)", "context = session.parameters.context"),
    ),
    m(
        "41",
        "alarms that the owner does not know of",
        (EXECUTOR, "if site.alarms and asked.cells is not None:", "if True:"),
    ),
    m(
        "41",
        "cells of an owner without what remembers them",
        (
            "integrations/nvflare/site.py",
            "if self.cells.size is not None and self.ledger is None:",
            "if False:",
        ),
    ),
    m(
        "41",
        "long updates go out as they are",
        (
            "integrations/nvflare/instruction.py",
            "vectors if self.norm is None else clip_norm(vectors, self.norm)",
            "vectors",
        ),
    ),
    m("41", "proofs of a lie are not looked for", (NVFLARE_CELLS, "_LOG, norm=norm,", "_LOG, norm=None,")),
    m(
        "41",
        "a cell goes on without those that are away",
        (CELL_SESSIONS, "if absent := [client for client in cell if client not in here]:", "if absent := []:"),
    ),
    m("46", "any array is given", (SELECTION, "if not secagg.name_matches(name, self.only):", "if False:")),
    m(
        "46",
        "an offer's vectors are not looked at",
        (SELECTION, "        self._require_named([*", "        iter([*"),
    ),
    m(
        "46",
        "frozen arrays may move within a run",
        (SELECTION, 'if arrays and not same(b"frozen",', "if arrays and not same(frozen,"),
    ),
    m(
        "46",
        "the entries of frozen arrays are not in their digest",
        (SELECTION, 'b"" if secagg.name_matches(name, only) else digest]', 'b""]'),
    ),
    m(
        "46",
        "the names of arrays are not in the digest",
        (SELECTION, "parts += [text_bytes(name), ", "parts += ["),
    ),
    m(
        "46",
        "another frozen part than the owner's",
        (SELECTION, "if self.frozen is not None and frozen", "if False and frozen"),
    ),
    m(
        "46",
        "an array in many selections",
        (SELECTION, 'same(b"summed/" + text_bytes(pattern), selection)', "same(selection, selection)"),
    ),
    m(
        "46",
        "a selection beside any others",
        (SELECTION, "(_SELECTED, frozen, text_bytes(record),", "(_SELECTED, text_bytes(record),"),
    ),
    m("46", "dtype and shape are not in the digest", (SELECTION, "array.dtype.str.encode(), shape, ", "")),
    m(
        "46",
        "arrays move between the parts of an instruction",
        (SELECTION, "parts = [_FROZEN, layout] if layout else [_FROZEN]", "parts = [_FROZEN]"),
    ),
)
