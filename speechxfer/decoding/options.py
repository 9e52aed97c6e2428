"""How a head decodes: options that are passed with each call, so that a loaded model holds no state between calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, cast

from speechxfer.config.values import Kind, OneOf, Range, shown
from speechxfer.errors import ConfigError

#: The first attempt is greedy or a beam search; the others sample, where a transcript looks wrong (Radford et al.,
#: 2022, section 4.5).
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

_KINDS = {
    "beams": Kind(int, Range(1, 100), optional=True),
    "prompt": Kind(str, optional=True),
    "language": Kind(str, optional=True),
    "task": Kind(str, OneOf(("transcribe", "translate")), optional=True),
    "word_times": Kind(bool, optional=True),
}
_TEMPERATURE = Kind(float, Range(0, 10))


#: Usual weight of a hotword.
HOTWORD_WEIGHT = 8.0
_WEIGHT = Kind(float, Range(0, 100))
Hotwords: TypeAlias = "Sequence[str | tuple[str, float]]"


@dataclass(frozen=True)
class DecodingOptions:
    """Options of one call; None leaves an option at the model's own default.

    A head has some of them (`Head.decoding_options`), and refuses the others.

    Raises:
        ConfigError: a value that no model takes, with the option's name and what is wanted.
    """

    #: Hypotheses that are followed at once at temperature 0; 1 is greedy decoding.
    beams: int | None = None
    #: Text that is given to the decoder before the transcript: names and terms that are likely to occur.
    prompt: str | None = None
    #: The spoken language, by its code or English name.
    language: str | None = None
    #: "transcribe", or "translate" for an English translation.
    task: str | None = None
    #: What the log-probabilities are divided by. 0 takes the most likely token; above 0 tokens are sampled. Several are
    #: tried in order, until a transcript passes the hallucination checks; a single number is stored as a tuple of one.
    temperature: float | tuple[float, ...] | None = None
    #: Names and phrases that are likely to occur, and more likely to be written; each alone or with its weight, as
    #: ("Aachen", 12.0). A weight is what the score of a text gains by such a word, in natural logarithms; usually 8.
    #: Words gain at most 1.25 for each of their letters.
    hotwords: Hotwords | None = None
    #: Whether words come with their times.
    word_times: bool | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            kind.check(name, getattr(self, name))
        if self.language is not None and not self.language.strip():
            raise ConfigError(f"language is {shown(self.language)}; wanted a code or an English name, such as 'it'")
        if self.temperature is not None:
            object.__setattr__(self, "temperature", _temperatures(self.temperature))
        if self.hotwords is not None:
            object.__setattr__(self, "hotwords", _hotwords(self.hotwords))

    @property
    def weighted_hotwords(self) -> tuple[tuple[str, float], ...]:
        """The hotwords, each with its weight; empty where there are none."""
        return cast(tuple[tuple[str, float], ...], self.hotwords or ())

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures in order; empty where they are left to the model."""
        return self.temperature if isinstance(self.temperature, tuple) else ()

    def given(self) -> dict[str, Any]:
        """The options that are not None, by name."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}

    def only(self, names: Collection[str]) -> DecodingOptions:
        """These options without those that are not named."""
        return DecodingOptions(**{name: value for name, value in self.given().items() if name in names})

    def over(self, defaults: DecodingOptions) -> DecodingOptions:
        """These options, with `defaults` in place of None."""
        return replace(defaults, **self.given())


def _temperatures(value: Any) -> tuple[float, ...]:
    several = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not several:
        raise ConfigError(f"temperature is {shown(value)}; wanted a number, or several to be tried in order")
    for one in several:
        _TEMPERATURE.check("temperature", one)
    return tuple(map(float, several))


def _hotwords(value: Any) -> tuple[tuple[str, float], ...]:
    """Phrases with their weights; of a phrase that is given twice, the last."""
    if not isinstance(value, tuple | list):
        raise ConfigError(f"hotwords is {shown(value)}; wanted a list of phrases, such as ['Aachen', ('Bad Doberan', 12.0)]")  # fmt: skip  # noqa: E501
    found: dict[str, float] = {}
    for one in value:
        phrase, weight = one if isinstance(one, tuple | list) and len(one) == 2 else (one, HOTWORD_WEIGHT)
        if not isinstance(phrase, str) or not phrase.strip():
            raise ConfigError(f"hotwords has {shown(one)}; wanted a phrase, or a phrase with its weight")
        _WEIGHT.check(f"the weight of hotword {phrase!r}", weight)
        found[" ".join(phrase.split())] = float(weight)
    return tuple(found.items())
