"""Tables of a run say what its rows hold, and bold is where the attack won."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secagg.poisoning.grids import grid, scenarios
from secagg.poisoning.tables import BLOCKS, everything
from tests.poisoning.made import ATTACKS, NOTHING, RESULTS, attack_row


def line_of(table: str, *first: str) -> list[str]:
    """The cells of the one line that begins with these."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    (found,) = [line for line in lines if line[: len(first)] == [*first]]
    return found[len(first) :]


CELL = ("one, the mean of its cell",)


def test_attacks_are_columns_and_defences_are_lines() -> None:
    table = BLOCKS["attacks"](RESULTS)
    assert line_of(table, "judged", "rule", "liars send") == ["no attack", "sign flip", "backdoor"]
    assert line_of(table, "cells of 5", "root check", *CELL) == ["0.90", "0.88", "0.91 / 0.10"]
    assert "50 clients, 3 rounds, 1 seed; 6 of 10 cells of 5 dirty." in table


def test_bold_is_where_the_attack_won() -> None:
    table = BLOCKS["attacks"](RESULTS)
    assert line_of(table, "cells of 5", "median", *CELL) == ["0.92", "**0.10**", "0.92 / **0.90**"]
    assert line_of(table, "one session", "mean", "one, the whole sum")[1] == "**0.09**"
    barely = tuple(replace(row, accuracy=0.7) if row.accuracy == 0.88 else row for row in ATTACKS)
    assert line_of(BLOCKS["attacks"](replace(RESULTS, attacks=barely)), "cells of 5", "root check", *CELL)[1] == "0.70"
    lost = tuple(replace(row, accuracy=0.68) if row.accuracy == 0.88 else row for row in ATTACKS)
    line = line_of(BLOCKS["attacks"](replace(RESULTS, attacks=lost)), "cells of 5", "root check", *CELL)
    assert line[1] == "**0.68**"


def test_what_was_not_run_is_a_dash() -> None:
    assert line_of(BLOCKS["attacks"](RESULTS), "one session", "mean", "one, the whole sum")[2] == "–"


def test_the_summary_names_the_worst_of_each_line() -> None:
    table = BLOCKS["worst"](RESULTS)
    assert line_of(table, "cells of 5", "median", *CELL) == ["0.92", "**0.10** (sign flip)", "**0.90** (backdoor)"]
    assert line_of(table, "one session", "mean", "one, the whole sum")[2] == "–"


def test_seeds_that_differ_are_shown_from_least_to_most() -> None:
    rows = (
        *ATTACKS,
        attack_row("sign_flip", "root_check", 0.7, seed=1),
        attack_row("sign_flip", "median", 0.12, seed=1),
    )
    table = BLOCKS["attacks"](replace(RESULTS, attacks=rows))
    assert line_of(table, "cells of 5", "root check", *CELL)[1] == "0.70 to 0.88"
    assert line_of(table, "cells of 5", "median", *CELL)[1] == "**0.11**"
    assert "2 seeds" in table


def test_the_scenario_with_most_rows_comes_first_and_each_has_its_rows_without_attack() -> None:
    found = scenarios(ATTACKS)
    assert [which[3] for which in found] == [0.2, 0.1]
    assert [sum(row.attack == "none" for row in rows) for rows in found.values()] == [3, 3]
    lines, attacks, cells = grid(found["digits", "iid", 50, 0.1])
    assert (len(lines), attacks) == (1, ["none", "sign_flip"])
    assert [row.accuracy for row in cells[lines[0], "none"]] == [0.92]
    assert "10 % liars" in BLOCKS["others"](RESULTS)


def test_honest_cells_that_are_left_out() -> None:
    assert line_of(BLOCKS["rejections"](RESULTS), "digits, alike", "cells of 5") == ["root check", "14 %", "0.90"]
    assert "median" not in BLOCKS["rejections"](RESULTS)


def test_siren_stands_once_for_each_way_of_its_liars() -> None:
    table = BLOCKS["siren"](RESULTS)
    assert line_of(table, "SIREN", "each update, in clear", "alarm") == ["0.95", "0.90"]
    assert line_of(table, "SIREN", "each update, in clear", "are silent") == ["0.95", "0.92"]
    assert line_of(table, "mean", "each update, in clear", "–") == ["–", "**0.40**"]


def test_real_sessions_stand_with_their_liars_and_models() -> None:
    table = BLOCKS["sessions"](RESULTS)
    assert line_of(table, "0 of 20") == ["one session", "mean", "semi-honest", "0.90"]
    assert line_of(table, "1 of 20", "one session") == ["mean", "semi-honest", "0.10"]
    assert line_of(table, "1 of 20", "cells of 5") == ["root check", "active", "0.85"]


def test_noise_has_a_table_for_each_task_and_a_column_for_each_epsilon_and_attack() -> None:
    digits, cancer = BLOCKS["privacy"](RESULTS).split("**breast cancer, ")
    heading = ["\u03b5 = 10: no attack", "\u03b5 = 10: sign flip 10 %", "\u03b5 = 30: no attack"]
    assert line_of(digits, "judged", "rule") == heading
    assert line_of(digits, "cells of 5", "mean") == ["0.80", "0.30", "0.85"]
    assert line_of(cancer, "cells of 5", "median") == ["0.70"]


def test_what_sums_tell() -> None:
    assert line_of(BLOCKS["sizes"](RESULTS), "right guesses (AUC)") == ["0.78", "0.58"]
    table = BLOCKS["leak"](RESULTS)
    assert line_of(table, "5", "fixed cells, all or nothing") == ["10 %", "25", "10", "5", "0.77", "0.40"]
    assert line_of(table, "5", "**regrouped every round**") == ["10 %", "25", "50", "5", "1.00", "0.40"]


@pytest.mark.parametrize("name", BLOCKS)
def test_every_table_can_be_made_of_nothing(name: str) -> None:
    assert isinstance(BLOCKS[name](NOTHING), str)


def test_everything_has_a_heading_for_what_was_run_and_for_nothing_else() -> None:
    text = everything(RESULTS)
    for heading in ("digits, clients alike, 20 % liars", "SIREN, in clear", "What many rounds tell"):
        assert f"### {heading}\n" in text
    assert text.endswith("Measured by secagg 9.9, a full run of 2026-01-02 on numpy 2.")
    assert everything(NOTHING) == "Measured by secagg 9.9, a quick run of 2026-01-02."
