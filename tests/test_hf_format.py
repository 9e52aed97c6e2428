from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import speechxfer as sx
from speechxfer.data.labels import ClassLabels
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters, Phonemes, Pieces, Vocabulary
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from tests.encoders.conftest import VARIANTS, noise, reference

FAMILIES = ["wav2vec2", "wav2vec2-stable", "hubert", "hubert-stable", "wavlm", "data2vec-audio"]
LABELS = ClassLabels(["no", "perhaps", "yes"])


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def folder(variant: str) -> Path:
        path = tmp_path_factory.mktemp(variant)
        reference(variant).save_pretrained(path)
        return path

    return folder


def adapted(folder: Path, make_head: Callable[[Any], Head], **options: Any) -> SpeechModel:
    checkpoint = find(str(folder))
    torch.manual_seed(1)
    encoder = load_encoder(checkpoint.name, *checkpoint.read(), **options)
    model = SpeechModel(encoder, make_head(encoder), str(folder)).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.normal_()
    return model


def ctc(encoder: Any, symbols: str | Vocabulary = " 'abc") -> CTCHead:
    vocabulary = Characters(symbols) if isinstance(symbols, str) else symbols
    return CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, TextNormalizer("basic"))


def classifier(encoder: Any) -> ClassificationHead:
    return ClassificationHead(encoder.width, LABELS, projection=8, pool_padding=encoder.fixed_length)


@torch.inference_mode()
def logits(folder: Path, auto: Any, waveform: np.ndarray) -> torch.Tensor:
    """As `transformers` computes them, by the files of the folder alone."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")
    model, found = auto.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    return model.eval()(**inputs).logits[0]


@torch.inference_mode()
def our_logits(model: SpeechModel, waveform: np.ndarray) -> torch.Tensor:
    assert isinstance(model.head, CTCHead)
    return model.head.projection(model.encoder(*model.encoder.collate([waveform]))[0])[0]


@pytest.mark.parametrize("variant", FAMILIES)
def test_a_saved_ctc_model_opens_in_transformers_with_the_same_logits(
    variant: str, encoder_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = adapted(encoder_folder(variant), ctc)
    model.save(tmp_path / "model")
    theirs = logits(tmp_path / "model", transformers.AutoModelForCTC, noise(8000))
    torch.testing.assert_close(our_logits(model, noise(8000)), theirs, atol=1e-4, rtol=1e-4)
    architecture = json.loads((tmp_path / "model" / "config.json").read_text())["architectures"]
    name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}
    assert architecture == [f"{name[VARIANTS[variant][0]]}ForCTC"]


@pytest.mark.parametrize("variant", FAMILIES)
def test_a_saved_classifier_opens_in_transformers_with_the_same_logits(
    variant: str, encoder_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = adapted(encoder_folder(variant), classifier)
    model.save(tmp_path / "model")
    theirs = logits(tmp_path / "model", transformers.AutoModelForAudioClassification, noise(8000))
    prediction = sx.load(str(tmp_path / "model"), device="cpu").predict([noise(8000)])[0]
    assert prediction.labels == LABELS.names  # type: ignore[union-attr]
    expected = tuple(theirs.softmax(-1).tolist())
    assert prediction.probabilities == pytest.approx(expected, abs=1e-4)  # type: ignore[union-attr]


def test_a_whisper_classifier_of_padded_audio_opens_in_transformers(whisper_folder: Path, tmp_path: Path) -> None:
    model = adapted(whisper_folder, classifier, pad_to_30s=True)
    model.save(tmp_path / "model")
    theirs = logits(tmp_path / "model", transformers.AutoModelForAudioClassification, noise(8000))
    prediction = sx.load(str(tmp_path / "model"), device="cpu").predict([noise(8000)])[0]
    assert prediction.probabilities == pytest.approx(tuple(theirs.softmax(-1).tolist()), abs=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize("make_head", [ctc, classifier])
def test_what_transformers_cannot_open_has_no_files_that_say_it_can(
    make_head: Callable[[Any], Head], whisper_folder: Path, tmp_path: Path
) -> None:
    model = adapted(whisper_folder, make_head)
    model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.safetensors", "speechxfer.json"]
    again = sx.load(str(tmp_path / "model"), device="cpu")
    assert again.predict([noise(8000)]) == model.predict([noise(8000)])


def test_pooled_frames_are_nothing_transformers_knows(encoder_folder: Callable[[str], Path], tmp_path: Path) -> None:
    checkpoint = find(str(encoder_folder("wav2vec2")))
    encoder = load_encoder(checkpoint.name, *checkpoint.read())
    encoder.set_pooling(1, 2)
    SpeechModel(encoder, ctc(encoder), "x").save(tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()
    assert sx.load(str(tmp_path / "model"), device="cpu").encoder.pooling is not None


def test_a_bar_as_a_character_is_not_mistaken_for_a_space(
    encoder_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = adapted(encoder_folder("wav2vec2"), lambda encoder: ctc(encoder, " ab|"))
    model.save(tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()
    again = sx.load(str(tmp_path / "model"), device="cpu")
    assert again.recognize([noise(24_000)]) == model.recognize([noise(24_000)])
    assert "|" in model.recognize([noise(24_000)])[0].text


VOCABULARIES: dict[str, str | Vocabulary] = {
    "characters": " 'abc",
    "no space": "abc",
    "an accent": " abcé",
    "several code points": Characters([" ", "a", "ch", "ɛ̃"]),
    "byte-pair encoding": Pieces([*" abc", " a", "ab", " ab"], merges=[(" ", "a"), ("a", "b"), (" a", "b")]),
    "unigram": Pieces([*" abc", " a", "ab"], scores=[-3.0, -3.0, -4.0, -4.0, -1.0, -2.0]),
    "several words": Pieces([*" abc", " a b", " a"], merges=[]),
    "longest piece": Pieces([*" abc", " a", "ab"]),
    "phonemes": Phonemes(["h", "ə", "oʊ", "tʃ", "|"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("symbols", VOCABULARIES.values(), ids=VOCABULARIES)
def test_the_pipeline_writes_what_we_write(
    symbols: str | Vocabulary, encoder_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = adapted(encoder_folder("wav2vec2-stable"), lambda encoder: ctc(encoder, symbols))
    model.save(tmp_path / "model")
    pipe = transformers.pipeline("automatic-speech-recognition", str(tmp_path / "model"), device="cpu")
    for seed in range(3):
        waveform = noise(24_000, seed)
        ours = model.recognize([waveform])[0].text
        assert len(set(ours)) > 2
        assert " ".join(pipe(waveform.copy())["text"].split()) == ours
    theirs = logits(tmp_path / "model", transformers.AutoModelForCTC, noise(8000))
    torch.testing.assert_close(our_logits(model, noise(8000)), theirs, atol=1e-4, rtol=1e-4)
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model")
    assert (
        " ".join(processor.batch_decode(theirs.argmax(-1)[None])[0].split()) == model.recognize([noise(8000)])[0].text
    )


@pytest.mark.parametrize("kind", ["byte-pair encoding", "unigram", "phonemes", "several code points"])
def test_a_vocabulary_is_kept_in_our_files_and_in_theirs(
    kind: str, encoder_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = adapted(encoder_folder("hubert"), lambda encoder: ctc(encoder, VOCABULARIES[kind]))
    model.save(tmp_path / "model")
    found = [sx.load(str(tmp_path / "model"), device="cpu")]
    (tmp_path / "model" / "speechxfer.json").unlink()
    found.append(sx.load(str(tmp_path / "model"), device="cpu"))
    for other in found:
        assert isinstance(other.head, CTCHead)
        assert other.head.vocabulary.to_dict() == model.head.vocabulary.to_dict()  # type: ignore[union-attr]
        assert other.recognize([noise(24_000)]) == model.recognize([noise(24_000)])
    assert str(found[0].head.normalizer) == "basic/2"  # type: ignore[union-attr]
    assert str(found[1].head.normalizer) == ("none/1" if kind == "phonemes" else "basic/2")  # type: ignore[union-attr]


def test_the_pipeline_tells_classes_as_we_do(encoder_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = adapted(encoder_folder("hubert"), classifier)
    model.save(tmp_path / "model")
    pipe = transformers.pipeline("audio-classification", str(tmp_path / "model"), device="cpu")
    theirs = {item["label"]: item["score"] for item in pipe(noise(16_000))}
    prediction = model.predict([noise(16_000)])[0]
    assert theirs == pytest.approx(dict(prediction.top(3)), abs=1e-4)  # type: ignore[union-attr]


# The other way


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., Path]:
    """A CTC model as people publish it: upper case, special tokens first."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "'"]

    def write(tokens: list[str] = tokens, variant: str = "wav2vec2", **config: Any) -> Path:
        folder = tmp_path / f"published{len(list(tmp_path.iterdir()))}"
        model = reference(variant, head="ForCTC")
        model.lm_head = torch.nn.Linear(32, 9)
        model.config.vocab_size = 9
        for name, value in {"pad_token_id": 0, **config}.items():
            setattr(model.config, name, value)
        torch.manual_seed(2)
        with torch.no_grad():
            model.lm_head.weight.normal_()
            model.lm_head.bias[1:4] = -100.0  # a trained model never writes special tokens
        model.save_pretrained(folder)
        (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Wav2Vec2CTCTokenizer"}))
        (folder / "preprocessor_config.json").write_text(
            json.dumps({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True})
        )
        return folder

    return write


def test_a_published_ctc_model_writes_what_its_pipeline_writes(published: Callable[..., Path]) -> None:
    folder = published()
    model = sx.load(str(folder), device="cpu")
    pipe = transformers.pipeline("automatic-speech-recognition", str(folder), device="cpu")
    assert isinstance(model.head, CTCHead)
    assert model.head.vocabulary.symbols == (" ", "A", "B", "C", "'")
    assert str(model.head.normalizer) == "basic-upper/2"
    texts = [model.recognize([noise(24_000, seed)])[0].text for seed in range(3)]
    assert texts == [" ".join(pipe(noise(24_000, seed))["text"].split()) for seed in range(3)]
    assert len(set("".join(texts))) > 2


def test_a_published_classifier_is_opened(encoder_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = reference("wavlm", head="ForSequenceClassification")
    model.config.id2label = {0: "no", 1: "yes"}
    model.save_pretrained(tmp_path / "theirs")
    prediction = sx.load(str(tmp_path / "theirs"), device="cpu").predict([noise(8000)])[0]
    normalized = (noise(8000) - noise(8000).mean()) / np.sqrt(noise(8000).var() + 1e-7)
    with torch.inference_mode():
        expected = model(torch.from_numpy(normalized)[None]).logits[0].softmax(-1).tolist()
    assert prediction.labels == ("no", "yes")  # type: ignore[union-attr]
    assert prediction.probabilities == pytest.approx(tuple(expected), abs=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tokens", "seen"),
    [
        (["<pad>", "|", "A"], "spells 3 of the head's 9 outputs, but not number 6"),
        (["<pad>", *"|ABCDEFGHIJ"], "spells 12 numbers, but the head has 9 outputs"),
        (["|", "A", "<pad>", *"BCDEFG"], "'<pad>' is number 2, but config.json says that the blank"),
    ],
)
def test_a_vocabulary_that_does_not_fit_the_head_is_reported(
    tokens: list[str], seen: str, published: Callable[..., Path]
) -> None:
    with pytest.raises(CheckpointError) as caught:
        sx.load(str(published(tokens)), device="cpu")
    assert seen in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_head_without_vocabulary_is_reported(published: Callable[..., Path]) -> None:
    folder = published()
    (folder / "vocab.json").unlink()
    with pytest.raises(CheckpointError, match=r"lacks vocab\.json"):
        sx.load(str(folder), device="cpu")


def test_new_characters_leave_the_old_ones_alone(published: Callable[..., Path]) -> None:
    head = open_checkpoint(find(str(published()))).head
    assert isinstance(head, CTCHead)
    longer = head.extended("ÀÈB")
    assert longer.vocabulary.symbols == (*head.vocabulary.symbols, "À", "È")
    states = torch.randn(1, 4, 32)
    torch.testing.assert_close(longer.projection(states)[..., :6], head.projection(states))
