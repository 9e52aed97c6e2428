from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import WhisperConfig, WhisperForConditionalGeneration

from speechxfer.data.manifest import Utterance
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.tokens import WhisperTokens
from speechxfer.heads.seq2seq import alignment, scorer
from speechxfer.heads.seq2seq import head as seq2seq

NUM_WORDS = 90
SPECIAL = ("endoftext", "startoftranscript", "en", "it", "translate", "transcribe", "startofprev", "notimestamps")


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({f"w{number}": number for number in range(NUM_WORDS)}, unk_token="w0"))
    made.pre_tokenizer = WhitespaceSplit()
    made.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in SPECIAL])
    return made


@pytest.fixture
def whisper(whisper_config: dict[str, object]) -> WhisperForConditionalGeneration:
    torch.manual_seed(3)
    # At least as many tokens as a multilingual Whisper has, so that it counts as one.
    config = WhisperConfig(
        **{**whisper_config, "vocab_size": 51_865, "suppress_tokens": [5], "begin_suppress_tokens": [7]}
    )
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0 if parameter.ndim > 1 else 1.0)
    return model


def head_of(whisper: WhisperForConditionalGeneration, **options: Any) -> WhisperSeq2SeqHead:
    head = WhisperSeq2SeqHead(whisper.config, WhisperTokens(tokenizer(), whisper.config.vocab_size), **options).eval()
    head.decoder.load_state_dict(whisper.model.decoder.state_dict())
    return head


def numbers(*names: str) -> list[int]:
    return [tokenizer().token_to_id(f"<|{name}|>") for name in names]


def texts(predictions: Sequence[Any]) -> list[str]:
    return [item.text for item in predictions]


PROMPT = ("startoftranscript", "it", "transcribe", "notimestamps")


def reference(whisper: WhisperForConditionalGeneration, hidden: torch.Tensor, prompt: list[int], steps: int) -> str:
    """Greedy decoding the slow way: everything again for every token, one utterance at a time."""
    tokens = list(prompt)
    for step in range(steps):
        output = whisper.model.decoder(input_ids=torch.tensor([tokens]), encoder_hidden_states=hidden[None])
        scores = output.last_hidden_state[0, -1] @ whisper.model.decoder.embed_tokens.weight.T
        scores[[5, *([7] if step == 0 else [])]] = -torch.inf
        scores[NUM_WORDS + 1 :] = -torch.inf
        tokens.append(int(scores.argmax()))
        if tokens[-1] == NUM_WORDS:
            break
    return tokenizer().decode(tokens[len(prompt) :])


@pytest.mark.slow
@torch.no_grad()
def test_decoding_in_a_batch_with_a_cache_is_decoding_one_by_one(
    whisper: WhisperForConditionalGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seq2seq, "with_fallback", lambda first, *_retry, **_options: first)  # random output loops
    head = head_of(whisper, is_pretrained=True)
    lengths = [30, 8, 21, 30]
    hidden = torch.randn(4, 30, 32)
    found = head.decode(hidden, torch.tensor(lengths), DecodingOptions(language="it"))
    limits = [min(16 + length // 2, 28) for length in lengths]
    expected = [
        reference(whisper, row[:length], numbers(*PROMPT), limit)
        for row, length, limit in zip(hidden, lengths, limits, strict=True)
    ]
    assert texts(found) == expected
    assert len(set(expected)) > 1
    assert all(0 < (hypothesis.confidence or 0) <= 1 for hypothesis in found)


@pytest.mark.slow
@torch.no_grad()
def test_beams_find_the_same_whatever_is_in_the_batch(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper, language="it")
    hidden, lengths = torch.randn(3, 20, 32), torch.tensor([20, 11, 20])
    options = DecodingOptions(beams=4, temperature=0)
    alone = [
        head.decode(hidden[row : row + 1, :size], lengths[row : row + 1], options)[0]
        for row, size in enumerate(lengths)
    ]
    assert texts(alone) == texts(head.decode(hidden, lengths, options))
    assert texts(alone) != texts(head.decode(hidden, lengths, replace(options, beams=1)))


def test_a_language_it_lacks_is_an_error(whisper: WhisperForConditionalGeneration) -> None:
    with pytest.raises(ConfigError, match="language 'xx' is not one this Whisper knows"):
        head_of(whisper).decode(torch.randn(1, 10, 32), torch.tensor([10]), DecodingOptions(language="xx"))


@torch.no_grad()
def test_what_it_attends_to_is_what_the_reference_attends_to(whisper: WhisperForConditionalGeneration) -> None:
    head, lengths = head_of(whisper), [30, 12]
    hidden, tokens = torch.randn(2, 30, 32), torch.tensor([[91, 3, 8, 8], [91, 40, 2, 6]])
    whisper.set_attn_implementation("eager")  # the head has the same configuration
    wanted = [
        whisper.model.decoder(row[None], encoder_hidden_states=states[None, :length], output_attentions=True)
        for row, states, length in zip(tokens, hidden, lengths, strict=True)
    ]
    whisper.set_attn_implementation("sdpa")
    mask = torch.arange(30)[None] < torch.tensor(lengths)[:, None]
    for layer, asked in enumerate(head.asked(tokens, hidden, mask[:, None, None])):
        found = alignment._attention(head.cross_attention(layer), asked, hidden, mask[:, None, None], [1])
        for row, length in enumerate(lengths):
            torch.testing.assert_close(found[row, :, :length], wanted[row].cross_attentions[layer][0, 1])
            assert not found[row, :, length:].any()


def test_the_heads_that_follow_speech_are_those_that_are_named(whisper: WhisperForConditionalGeneration) -> None:
    assert alignment.alignment_heads(head_of(whisper)) == [(0, 0), (0, 1)]  # of one layer, that one
    whisper.config.alignment_heads = [[0, 1], [7, 0]]  # distil-whisper names those of a larger model too
    assert alignment.alignment_heads(head_of(whisper)) == [(0, 1)]


@pytest.mark.slow
def test_word_times_can_be_left_out(whisper: WhisperForConditionalGeneration) -> None:
    head, hidden, lengths = head_of(whisper, language="it"), torch.randn(1, 10, 32), torch.tensor([10])
    (plain,) = head.decode(hidden, lengths, DecodingOptions(word_times=False))
    (timed,) = head.decode(hidden, lengths, DecodingOptions())
    assert (plain.words, plain) == ((), replace(timed, words=()))
    assert " ".join(word.text for word in timed.words) == timed.text != ""


def test_an_english_only_whisper_refuses_other_languages(whisper_config: dict[str, object]) -> None:
    head = head_of(WhisperForConditionalGeneration(WhisperConfig(**whisper_config)))
    for options in (DecodingOptions(language="it"), DecodingOptions(task="translate")):
        with pytest.raises(ConfigError, match="knows English only"):
            head.decode(torch.randn(1, 10, 32), torch.tensor([10]), options)
    english = DecodingOptions(language="en", task="transcribe")
    assert len(head.decode(torch.randn(1, 10, 32), torch.tensor([10]), english)) == 1


@pytest.mark.slow
@torch.no_grad()
def test_a_prompt_longer_than_the_decoder_loses_its_beginning(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper, language="it")
    hidden, lengths = torch.randn(1, 20, 32), torch.tensor([20])
    words = " ".join(f"w{number}" for number in range(20, 35))
    longer = head.decode(hidden, lengths, DecodingOptions(prompt="w1 " * 50 + words, temperature=0))
    assert longer == head.decode(hidden, lengths, DecodingOptions(prompt=words, temperature=0))
    assert longer != head.decode(hidden, lengths, DecodingOptions(temperature=0))


# Learning


def utterance(text: str, **columns: Any) -> Utterance:
    return Utterance(audio="a.wav", text=text, **columns)


def test_targets_are_the_prompt_as_given_then_the_text_and_the_end(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper, language="it")
    given = [~token for token in numbers(*PROMPT)]
    assert head.targets(utterance("w3 w4")) == [*given, 3, 4, NUM_WORDS]
    assert head.targets(utterance("")) == [*given, NUM_WORDS]
    assert head.num_labels(head.targets(utterance("w3 w4"))) == 3
    context = head.targets(utterance("w3", extra={"context": "w8 w9"}))
    assert context == [~numbers("startofprev")[0], ~8, ~9, *given, 3, NUM_WORDS]
    # What is replayed may be spoken in another language.
    other = [~token for token in numbers(PROMPT[0], "en", *PROMPT[2:])]
    assert head.targets(utterance("w3", extra={"language": "en"})) == [*other, 3, NUM_WORDS]
    assert head.targets(utterance("w3", extra={"language": "Italian"})) == [*given, 3, NUM_WORDS]


def test_some_are_learned_with_their_times(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper, language="it", timestamp_share=1.0)
    given = [~token for token in numbers(*PROMPT[:-1])]
    first = numbers("notimestamps")[0] + 1
    timed = head.targets(utterance("w3 w4", duration=1.5))
    assert timed == [*given, first, 3, 4, first + 75, NUM_WORDS]
    assert head.targets(utterance("w3 w4"))[3] == ~numbers("notimestamps")[0]  # its length is not known


@torch.no_grad()
def test_the_loss_is_the_originals(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper, language="it")
    hidden, texts = torch.randn(2, 12, 32), ["w3 w4 w8", "w5"]
    targets = [head.targets(utterance(text)) for text in texts]
    ours = head.loss(hidden, torch.tensor([12, 12]), targets)
    theirs = torch.zeros(())
    for row, target in zip(hidden, targets, strict=True):
        tokens = torch.tensor([[token if token >= 0 else ~token for token in target]])
        output = whisper.model.decoder(input_ids=tokens[:, :-1], encoder_hidden_states=row[None]).last_hidden_state
        logits = output @ whisper.model.decoder.embed_tokens.weight.T
        theirs += torch.nn.functional.cross_entropy(logits[0, 3:], tokens[0, 4:], reduction="sum")
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_loss_does_not_depend_on_neighbors_or_padding(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper, language="it")
    hidden, lengths = torch.randn(3, 25, 32), [25, 9, 14]
    targets = [head.targets(utterance(text)) for text in ("w1 w2 w3 w4 w6", "", "w9 w8")]
    together = head.loss(hidden, torch.tensor(lengths), targets)
    alone = [
        head.loss(row[None, :length], torch.tensor([length]), [target])
        for row, length, target in zip(hidden, lengths, targets, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone).sum(), rtol=1e-4, atol=1e-3)


def test_its_parts_hold_every_weight_once(whisper: WhisperForConditionalGeneration) -> None:
    head = head_of(whisper)
    grouped = [id(parameter) for group in head.layer_groups() for parameter in group.parameters()]
    assert sorted(grouped) == sorted(map(id, head.parameters()))
    assert [group.name for group in head.layer_groups()] == ["token embedding", "decoder layer 0"]


@torch.no_grad()
@pytest.mark.parametrize("at_once", [12, 2048])
def test_chances_of_texts_are_what_the_loss_counts(
    whisper: WhisperForConditionalGeneration, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "_SCORED_TOKENS", at_once)
    head = head_of(whisper, language="it")
    hidden, lengths = torch.randn(3, 25, 32), torch.tensor([25, 9, 14])
    texts = [["w1 w2 w3 w4 w6", "", "w9"], [], ["w9 w8"]]
    found = head.log_probabilities(hidden, lengths, texts, DecodingOptions())
    for row, (some, scores) in enumerate(zip(texts, found, strict=True)):
        alone = hidden[row : row + 1, : lengths[row]], lengths[row : row + 1]
        for text, score in zip(some, scores, strict=True):
            assert score == pytest.approx(-head.loss(*alone, [head.targets(utterance(text))]).item(), abs=1e-3)
    with pytest.raises(ConfigError, match="language 'xx'"):
        head.log_probabilities(hidden, lengths, texts, DecodingOptions(language="xx"))
