"""NO SECURITY: the report on privacy in words: of each picture a title, one sentence, and what it shows for the blind.

A sentence says what was measured, whatever that was. Must not know how anything is measured or drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Numbers = Mapping[str, Any]
NAMED: Final = {
    "server": "the server adds it (central)",
    "clients": "clients share it (distributed)",
    "each": "each client adds all of it (local)",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One picture of the report.

    Attributes:
        name: of its files.
        title: what it is about.
        sentence: what it shows.
        alt: what there is to see.
        numbers: what it is drawn from, plain data.
    """

    name: str
    title: str
    sentence: str
    alt: str
    numbers: Numbers

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"title": self.title, "sentence": self.sentence, "alt": self.alt, "numbers": self.numbers}


def sections(measured: Mapping[str, Numbers]) -> tuple[Section, ...]:
    """Return the sections of what :func:`secagg.privacy.lab.report.measure` found, in the order of the page."""
    return tuple(
        Section(name, title, sentence(measured[name]), alt(measured[name]), measured[name])
        for name, (title, sentence, alt) in _WORDS.items()
    )


def accuracy_table(numbers: Numbers) -> str:
    """Return accuracy by who adds noise and epsilon as a Markdown table, with a sentence on how it was measured."""
    none, *rows = numbers["rows"]
    epsilons = sorted({row["epsilon"] for row in rows})
    heading = " | ".join(f"\u03b5 = {epsilon:g}" for epsilon in epsilons)
    lines = [f"| noise | {heading} |", f"|---|{'---|' * len(epsilons)}"]
    lines.append(f"| none | {' | '.join([_scored(none)] * len(epsilons))} |")
    for noise, gone in dict.fromkeys((row["noise"], row["dropouts"]) for row in rows):
        cells = {row["epsilon"]: _scored(row) for row in rows if (row["noise"], row["dropouts"]) == (noise, gone)}
        fewer = f", {gone} of {numbers['clients']} gone in each round" if gone else ""
        lines.append(f"| {NAMED[noise]}{fewer} | {' | '.join(cells[epsilon] for epsilon in epsilons)} |")
    clips = ", ".join(f"{clip:g}" for clip in numbers["clips"])
    return "\n".join(lines) + (
        f"\n\nFraction of test digits that are read right, after {numbers['rounds']} rounds of {numbers['clients']} "
        f"clients: softmax regression, \u03b4 = {numbers['delta']:g} over all rounds, a floor of 80 and 5 corrupt. "
        f"Mean and standard deviation of {numbers['seeds']} federations; of the clips {clips} the best was taken, "
        "which is in no \u03b5. Written by `secagg privacy report --into`."
    )


def tile_title(tile: Numbers, epsilon: float) -> str:
    """What stands above a picture of the strip, in two lines."""
    size = tile["sum"]
    return {
        "picture": "your\npicture",
        "sum": "seen in your\nupdate alone" if size == 1 else f"in a sum\nof {size}",
        "insider": f"when the other\n{size - 1} are known",
        "noise": f"the same, with\nnoise (\u03b5 = {epsilon:g})",
    }[tile["kind"]]


def _strip(numbers: Numbers) -> str:
    noise = numbers["tiles"][-1]
    return (
        "One update shows the picture that it was made from, and a sum of 100 hides it; but whoever knows the other 99 "
        f"subtracts them and sees it again, unless there is noise in the sum: then the right picture was picked in "
        f"{noise['right']} of {noise['tries']} tries."
    )


def _strip_alt(numbers: Numbers) -> str:
    told = []
    for tile in numbers["tiles"]:
        rate = "" if tile["tries"] is None else f", identified in {tile['right']} of {tile['tries']} tries"
        told.append(f"{_flat(tile_title(tile, numbers['epsilon']))}{rate}")
    return f"{len(told)} small pictures of a handwritten {numbers['label']}, from left to right: {'; '.join(told)}."


def _guesses(numbers: Numbers) -> str:
    one, all_ = numbers["sums"][0], numbers["sums"][-1]
    return (
        f"Asked which of {numbers['of']} pictures was yours, somebody who sees your update is right in {_share(one)} "
        f"of the cases, who sees a sum of {all_['sum']} in {_share(all_)}, and who knows the other {all_['sum'] - 1} "
        f"besides in {_share(numbers['insider'])} without noise and in {_share(numbers['insider_with_noise'])} with it."
    )


def _guesses_alt(numbers: Numbers) -> str:
    bars = ", ".join(f"sum of {each['sum']}: {_share(each)}" for each in numbers["sums"])
    return (
        f"Bars that fall as the sum grows. Right picture picked of {numbers['of']}: {bars}; who knows all others: "
        f"{_share(numbers['insider'])}; the same with noise at \u03b5 = "
        f"{numbers['epsilon']:g}: {_share(numbers['insider_with_noise'])}."
    )


def _coin(numbers: Numbers) -> str:
    (own,) = (game for game in numbers["games"] if game["plan"])
    return (
        "Somebody who knows everything but whether you took part has to say yes or no: a coin is right 50 times of "
        f"100, and all that this plan gives away makes that {own['right']} at most."
    )


def _coin_alt(numbers: Numbers) -> str:
    games = ", ".join(
        f"at \u03b5 = {game['epsilon']:g}{' (this plan)' if game['plan'] else ''} {game['right']}"
        for game in numbers["games"]
    )
    return f"Squares of a hundred dots; filled are those for right guesses, 50 for a coin alone: {games}."


def _budget(numbers: Numbers) -> str:
    granted = sum(each["granted"] for each in numbers["rounds"])
    return (
        "Every round uses up a part of what your data may ever give away, and your own device keeps count: after "
        f"{granted} rounds it refuses the next."
    )


def _budget_alt(numbers: Numbers) -> str:
    rounds = numbers["rounds"]
    return (
        f"A bar for each round, growing to the dashed line of the limit, \u03b5 = "
        f"{numbers['limit']:g}: {rounds[0]['epsilon']:.2f} after round 1, {rounds[-2]['epsilon']:.2f} after round "
        f"{rounds[-2]['round']}; round {rounds[-1]['round']} would be {rounds[-1]['epsilon']:.2f} and is "
        f"{'granted' if rounds[-1]['granted'] else 'refused'}."
    )


def _audit(numbers: Numbers) -> str:
    honest = [bar for bar in numbers["bars"] if bar["fault"] is None]
    planted = [bar for bar in numbers["bars"] if bar["fault"] is not None]
    if any(bar["exceeded"] for bar in honest):
        return "WARNING: sums gave away more than was promised; do not use this build, and report it."
    found = (
        "and when half of the noise was left out on purpose, it did find more"
        if all(bar["exceeded"] for bar in planted)
        else "but so few trials do not even find that half of the noise was left out: take more"
    )
    return (
        f"An attack on {honest[0]['trials']} sums with and as many without one client finds no more than was promised, "
        f"{found}."
    )


def _audit_alt(numbers: Numbers) -> str:
    bars = "; ".join(
        f"promised {bar['claimed']:.2f}, measured {_finite(bar['measured'])}"
        f"{'' if bar['fault'] is None else ' with half of the noise left out'}"
        for bar in numbers["bars"]
    )
    return f"Filled bars of measured \u03b5 within outlines of what was promised: {bars}."


def _accuracy(numbers: Numbers) -> str:
    rows = numbers["rows"]
    most = max(row["epsilon"] for row in rows[1:])
    at = {row["noise"]: row["accuracy"] for row in rows if row["epsilon"] == most and not row["dropouts"]}
    return (
        f"Noise costs accuracy: of 100 new digits the model reads {100 * rows[0]['accuracy']:.0f} right without noise, "
        f"and at \u03b5 = {most:g} it reads {100 * at['clients']:.0f} right where clients share the noise, "
        f"{100 * at['server']:.0f} where the server adds it, and {100 * at['each']:.0f} where each client adds all "
        "of it."
    )


def _accuracy_alt(numbers: Numbers) -> str:
    told = [f"no noise: {numbers['rows'][0]['accuracy']:.3f}"]
    for row in numbers["rows"][1:]:
        gone = f", {row['dropouts']} clients gone" if row["dropouts"] else ""
        told.append(f"{NAMED[row['noise']]}{gone}, \u03b5 = {row['epsilon']:g}: {row['accuracy']:.3f}")
    return f"Accuracy on test digits against \u03b5: {'; '.join(told)}."


def _models(numbers: Numbers) -> str:
    return (
        "Whom you have to trust: if clients share the noise, that enough of the others are honest and the server "
        "follows the rules; if each adds all of it, nobody, but the model learns little; if the server adds it, "
        "the server."
    )


def _models_alt(numbers: Numbers) -> str:
    told = [
        f"{NAMED[noise]}: "
        + "; ".join(f"{_flat(row['question'])}: {_flat(row['answers'][at]['text'])}" for row in numbers["rows"])
        for at, noise in enumerate(numbers["columns"])
    ]
    return f"A table of three columns. {'. '.join(told)}."


def _scored(row: Numbers) -> str:
    return f"{row['accuracy']:.3f} \u00b1 {row['spread']:.3f}"


def _share(counted: Numbers) -> str:
    return f"{100 * counted['right'] / counted['tries']:.3g} %"


def _finite(value: float | None) -> str:
    return "without bound" if value is None else f"{value:.2f}"


def _flat(text: str) -> str:
    return text.replace("\n", " ")


_Words = Callable[[Numbers], str]
_WORDS: Final[dict[str, tuple[str, _Words, _Words]]] = {
    "strip": ("What can be seen of your picture", _strip, _strip_alt),
    "guesses": ("How often your picture is recognised", _guesses, _guesses_alt),
    "coin": ("What a guess about you is worth", _coin, _coin_alt),
    "budget": ("What your data may give away in all", _budget, _budget_alt),
    "audit": ("What was promised, and what attacks find", _audit, _audit_alt),
    "accuracy": ("What privacy costs", _accuracy, _accuracy_alt),
    "models": ("Who sees what", _models, _models_alt),
}
