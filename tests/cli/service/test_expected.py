"""The file in which a client says what vectors it expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from secagg import FixedPoint, Integers, ParameterError
from secagg.cli.service.expected import expected_vectors


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vectors.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_for_each_vector_as_a_server_has_them(tmp_path: Path) -> None:
    text = """
        [update]
        kind = "fixed_point"
        shape = [10, 3]
        clip = 1.5
        aggregate = "mean"
        [counts]
        kind = "integers"
        shape = [4]
        low = 0
        high = 9
    """
    assert expected_vectors(written(tmp_path, text)) == {
        "update": FixedPoint(shape=(10, 3), clip=1.5, bits=16, aggregate="mean"),
        "counts": Integers(0, 9, 4),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no vector"),
        ("[v", "is no TOML"),
        ("v = 3", r"\[v\] is no vector"),
        ('[v]\nkind = "counts"', "is no vector; write a table with kind"),
        ("[v]\nkind = [1]", "is no vector"),
        ('[v]\nkind = "integers"\nshape = [4]\nlow = 0', "lacks a key or has one too many"),
        ('[v]\nkind = "integers"\nshape = [4]\nlow = 0\nhigh = 9\nclip = 1.0', "one too many"),
        ('[v]\nkind = "integers"\nshape = [4]\nlow = 9\nhigh = 0', r"\[v\]: low=9 is not below high=0"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_table(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ParameterError, match=said) as caught:
        expected_vectors(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot read"):
        expected_vectors(tmp_path / "none.toml")
