"""The table of published models: complete, and what is counted is what the configurations give."""

from __future__ import annotations

import re

import pytest

from scripts.count_models import count
from speechxfer.config.families import FAMILIES
from speechxfer.families.published import PublishedModel, published_models
from speechxfer.languages import language_code

MODELS = published_models()
#: One of each family and small; all of them take half a minute.
SMALLEST = {
    model.family: model for model in sorted(MODELS, key=lambda model: -(model.size.parameters if model.size else 0))
}


def by_name(model: PublishedModel) -> str:
    return model.name


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_a_row_is_complete(model: PublishedModel) -> None:
    assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model.name)
    assert model.job
    assert model.license
    assert model.config["architectures"]
    assert model.is_available is (model.family in FAMILIES)
    assert (model.size is not None) is model.is_available, "python -m scripts.count_models"
    codes = () if isinstance(model.languages, int) else model.languages
    assert all(language_code(code) == code for code in codes)


def test_names_are_listed_once() -> None:
    assert len({model.name for model in MODELS}) == len(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in SMALLEST.values() if model.is_available], ids=by_name)
def test_sizes_are_what_the_configuration_gives(model: PublishedModel) -> None:
    assert count(model) == model.size, "python -m scripts.count_models"


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        # Sizes of the published files in float32 or float16, divided by 4 or 2 bytes.
        ("openai/whisper-tiny.en", 151 / 4),
        ("openai/whisper-large-v3", 3090 / 2),
        ("openai/whisper-large-v3-turbo", 1620 / 2),
        ("facebook/data2vec-audio-base-960h", 373 / 4),
        ("microsoft/wavlm-base-plus", 378 / 4),
        ("microsoft/wavlm-large", 1260 / 4),
        ("facebook/hubert-large-ll60k", 1260 / 4),
        ("nvidia/parakeet-ctc-0.6b", 2440 / 4),
        ("nvidia/parakeet-ctc-1.1b", 4250 / 4),
        ("UsefulSensors/moonshine-base", 246 / 4),
        ("google/medasr", 105),
    ],
)
def test_parameters_are_those_of_the_published_weights(name: str, millions: float) -> None:
    model = next(model for model in MODELS if model.name == name)
    if model.size is None:
        pytest.skip(f"{model.family} has no family here")
    assert model.size.parameters / 1e6 == pytest.approx(millions, rel=0.01)


def test_a_model_of_many_languages_may_know_any() -> None:
    known = {model.name for model in MODELS if model.may_know("it")}
    assert {"openai/whisper-tiny", "facebook/wav2vec2-xls-r-300m"} <= known
    assert "openai/whisper-tiny.en" not in known
