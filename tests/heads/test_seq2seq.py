from __future__ import annotations

import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from transformers import WhisperConfig, WhisperForConditionalGeneration

from speechxfer.errors import ConfigError
from speechxfer.heads.seq2seq import WhisperSeq2SeqHead

NUM_WORDS = 90
SPECIAL = ("endoftext", "startoftranscript", "en", "it", "translate", "transcribe", "startofprev", "notimestamps")


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({f"w{number}": number for number in range(NUM_WORDS)}, unk_token="w0"))
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


def reference(whisper: WhisperForConditionalGeneration, hidden: torch.Tensor, prompt: list[int], steps: int) -> str:
    """Greedy decoding the slow way: everything anew for every token, one utterance at a time."""
    tokens = list(prompt)
    for step in range(steps):
        output = whisper.model.decoder(input_ids=torch.tensor([tokens]), encoder_hidden_states=hidden[None])
        scores = output.last_hidden_state[0, -1] @ whisper.model.decoder.embed_tokens.weight.T
        scores[[5, *([7] if step == 0 else []), *range(NUM_WORDS + 1, len(scores))]] = -torch.inf
        tokens.append(int(scores.argmax()))
        if tokens[-1] == NUM_WORDS:
            break
    return tokenizer().decode(tokens[len(prompt) :])


@torch.no_grad()
def test_decoding_in_a_batch_with_a_cache_is_decoding_one_by_one(whisper: WhisperForConditionalGeneration) -> None:
    head = WhisperSeq2SeqHead(whisper.config, whisper.state_dict(), tokenizer()).eval()
    hidden = torch.randn(4, 30, 32)
    found = head.decode(hidden, torch.full((4,), 30), language="it")
    start, italian, transcribe, plain = (tokenizer().token_to_id(f"<|{SPECIAL[index]}|>") for index in (1, 3, 5, 7))
    expected = [reference(whisper, row, [start, italian, transcribe, plain], head.max_tokens) for row in hidden]
    assert [hypothesis.text for hypothesis in found] == expected
    assert len(set(expected)) > 1
    assert all(0 < (hypothesis.confidence or 0) <= 1 for hypothesis in found)


def test_a_language_it_lacks_is_told(whisper: WhisperForConditionalGeneration) -> None:
    head = WhisperSeq2SeqHead(whisper.config, whisper.state_dict(), tokenizer())
    with pytest.raises(ConfigError, match="language 'xx' is not one this Whisper knows"):
        head.decode(torch.randn(1, 10, 32), torch.tensor([10]), language="xx")


def test_an_english_only_whisper_refuses_other_languages(whisper_config: dict[str, object]) -> None:
    model = WhisperForConditionalGeneration(WhisperConfig(**whisper_config))
    head = WhisperSeq2SeqHead(model.config, model.state_dict(), tokenizer())
    with pytest.raises(ConfigError, match="knows English only"):
        head.decode(torch.randn(1, 10, 32), torch.tensor([10]), language="it")
    assert isinstance(head.decode(torch.randn(1, 10, 32), torch.tensor([10]))[0].text, str)
