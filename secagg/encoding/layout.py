"""Where every entry of every vector stands in the session vector (Specification §4.1).

All named vectors lie back to back in one vector of 64-bit words. A vector whose largest possible sum needs
`w` bits puts `f = 64 // w` entries in a word, which then lives in the ring Z_{2^B}, `B = f * w`: sums of
fields cannot carry into each other, because `w` holds the largest sum. Pure integer arithmetic, computed once
from the specifications; knows no arrays, no keys and no messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.vectors import Integers, VectorSpec, check_vectors

WEIGHT_SECTION: Final = "\x00weight"
"""Name of the section of the client's weight; no vector can have it, because names hold no zero byte."""

WORD_BITS: Final = 64
MAX_WORDS: Final = 2**40


@dataclass(frozen=True, slots=True)
class Section:
    """The place of one vector in the session vector and in its packed bytes.

    Attributes:
        name: the vector's name, or WEIGHT_SECTION.
        spec: the vector's specification.
        word_offset: index of the section's first word in the session vector.
        words: number of 64-bit words, ceil(entries / fields_per_word).
        width: bits per field (w): enough for the largest possible sum.
        fields_per_word: entries per word (f = 64 // w).
        ring_bits: bits of a word that count (B = f * w); words are added modulo 2^B.
        byte_offset: index of the section's first byte in the packed bytes.
        packed_bytes: packed length, ceil(words * B / 8).
        weighted: True when the client multiplies each entry by its weight.
    """

    name: str
    spec: VectorSpec
    word_offset: int
    words: int
    width: int
    fields_per_word: int
    ring_bits: int
    byte_offset: int
    packed_bytes: int
    weighted: bool

    @property
    def word_slice(self) -> slice:
        """The section's words within the session vector."""
        return slice(self.word_offset, self.word_offset + self.words)

    @property
    def byte_slice(self) -> slice:
        """The section's bytes within the packed session vector."""
        return slice(self.byte_offset, self.byte_offset + self.packed_bytes)

    @property
    def field_mask(self) -> int:
        """The `width` low bits."""
        return (1 << self.width) - 1

    @property
    def ring_mask(self) -> int:
        """The `ring_bits` low bits."""
        return (1 << self.ring_bits) - 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The session vector: its sections in order, its length in words and in packed bytes.

    Attributes:
        sections: one per vector, in the session's order; the weight's section is last when max_weight > 1.
        clients: cohort size for which no sum can overflow.
        max_weight: largest weight of a client; 1 means that weights are not used.
        words: number of 64-bit words.
        packed_bytes: bytes of one upload; each section is padded to whole bytes.
    """

    sections: tuple[Section, ...]
    clients: int
    max_weight: int
    words: int
    packed_bytes: int

    @classmethod
    def build(cls, vectors: Iterable[tuple[str, VectorSpec]], clients: int, max_weight: int) -> Layout:
        """Lay out the vectors for sums over at most `clients` clients of weight at most `max_weight`.

        Raises:
            ParameterError: no vectors, bad names, counts below 1, a sum that needs more than 64 bits (named
                with its vector), or more than 2^40 words.
        """
        named = check_vectors(vectors)
        sections: list[Section] = []
        word_offset = byte_offset = 0
        for name, spec in named:
            section = _section(name, spec, clients, max_weight, word_offset, byte_offset)
            sections.append(section)
            word_offset += section.words
            byte_offset += section.packed_bytes
        if max_weight > 1:
            spec = Integers(0, max_weight, 1)
            section = _section(WEIGHT_SECTION, spec, clients, max_weight, word_offset, byte_offset)
            sections.append(section)
            word_offset += section.words
            byte_offset += section.packed_bytes
        if word_offset > MAX_WORDS:
            raise ParameterError(
                f"the session vector has {word_offset} words, and 2^40 is the limit; use fewer entries"
            )
        return cls(tuple(sections), int(clients), int(max_weight), word_offset, byte_offset)

    @property
    def vector_sections(self) -> tuple[Section, ...]:
        """The sections of the named vectors, without the weight's."""
        return self.sections[:-1] if self.max_weight > 1 else self.sections

    @property
    def weight_section(self) -> Section | None:
        """The weight's section, or None when max_weight is 1."""
        return self.sections[-1] if self.max_weight > 1 else None


def _section(name: str, spec: VectorSpec, clients: int, max_weight: int, word_offset: int, byte_offset: int) -> Section:
    try:
        width = spec.field_width(clients, max_weight)
    except ParameterError as error:
        subject = "the clients' weights" if name == WEIGHT_SECTION else f"vector {name!r}"
        raise ParameterError(f"{subject}: {error}") from error
    fields_per_word = WORD_BITS // width
    ring_bits = fields_per_word * width
    words = -(-spec.size // fields_per_word)
    return Section(
        name=name,
        spec=spec,
        word_offset=word_offset,
        words=words,
        width=width,
        fields_per_word=fields_per_word,
        ring_bits=ring_bits,
        byte_offset=byte_offset,
        packed_bytes=-(-words * ring_bits // 8),
        weighted=spec.weighted and max_weight > 1,
    )
