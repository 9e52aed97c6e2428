"""Whisper's own decoder; what it has in common with those of other families is in `heads/seq2seq/`.

The modules are those of `transformers`; they are called layer by layer, so that what is padded is never attended to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.models.whisper.modeling_whisper import WhisperDecoder

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import TEMPERATURES, DecodingOptions
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError
from speechxfer.families.whisper.checkpoint import spoken
from speechxfer.families.whisper.files import generation_config, tokenizer_settings
from speechxfer.families.whisper.tokens import WhisperTokens, fraction_of
from speechxfer.heads.base import Interchange
from speechxfer.heads.seq2seq.head import Seq2SeqHead
from speechxfer.heads.seq2seq.settings import Seq2SeqConfig


class WhisperSeq2SeqHead(Seq2SeqHead):
    """The decoder half of Whisper with its tokenizer.

    Args:
        config: the whole model's configuration.
        tokens: its tokenizer.
        normalizer: how a transcript is written before it is learned.
        language: what is spoken, by its code; of a multilingual model only. None lets it find out.
        task: "transcribe" or "translate", of a multilingual model.
        timestamp_share: fraction of the utterances that are learned with their times.
        options: see `Seq2SeqHead`.
    """

    decoding_options = frozenset({"beams", "prompt", "language", "task", "temperature", "word_times"})
    attention_matrices = ("q_proj", "k_proj", "v_proj", "out_proj")
    feed_forward_matrices = ("fc1", "fc2")
    title = "Whisper's decoder"
    frame_rate = 50.0
    #: Also in a script that is spelled in bytes.
    tokens_a_second = 25
    positions_setting = "max_target_positions"
    tokens: WhisperTokens

    def __init__(
        self, config: WhisperConfig, tokens: WhisperTokens, normalizer: TextNormalizer | None = None, *,
        language: str | None = None, task: str = "transcribe", timestamp_share: float = 0.0, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(config, tokens, normalizer, **options)
        self.language, self.task_token = tokens.language(language), task
        self.timestamp_share = timestamp_share

    # The decoder

    def new_decoder(self) -> nn.Module:
        """As the original begins with it."""
        return cast(nn.Module, WhisperDecoder(self.config))

    def new_cache(self) -> EncoderDecoderCache:
        """Of tokens and of what is attended to."""
        return EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache(config=self.config))

    def run(
        self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None, cache: EncoderDecoderCache | None
    ) -> Tensor:
        """Tokens [batch, count] after those in the cache -> what stands before the vocabulary [batch, count, width]."""
        output = self._embedded(tokens, cache.get_seq_length() if cache is not None else 0)
        for layer in self.decoder.layers:  # by position: the cache's name changed in transformers 5.24
            output = layer(output, None, hidden_states, mask, cache, cache is not None)
        return cast(Tensor, self.decoder.layer_norm(output))

    def asked(self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
        """What each layer asks its cross-attention with [batch, count, width], layer by layer."""
        output = self._embedded(tokens, 0)
        for layer in self.decoder.layers:
            written, _ = layer.self_attn(layer.self_attn_layer_norm(output))
            yield layer.encoder_attn_layer_norm(output + written)
            output = layer(output, None, hidden_states, mask, None, False)

    def _embedded(self, tokens: Tensor, past: int) -> Tensor:
        """With their positions, of which `past` are taken."""
        positions = self.decoder.embed_positions.weight[past : past + tokens.shape[1]]
        return cast(Tensor, self.decoder.embed_tokens(tokens) + positions)

    def _parts(self) -> tuple[tuple[nn.Module, ...], Sequence[nn.Module], nn.Module]:
        """Tokens and positions, the layers, the final norm."""
        return (self.decoder.embed_tokens, self.decoder.embed_positions), self.decoder.layers, self.decoder.layer_norm

    def set_dropout(self, probability: float) -> None:
        """On what each layer adds; not inside attention, whose fast kernels have none on a CPU."""
        for layer in self.decoder.layers:
            layer.dropout = layer.activation_dropout = probability

    # Learning

    def prepare(self, config: FinetuneConfig, normalizer: TextNormalizer) -> None:
        """Set it to what a run asks for.

        Raises:
            ConfigError: it lacks the language or the task, or needs a language and none is set.
        """
        wanted = config.group_of(Seq2SeqConfig)
        if self.tokens.is_multilingual and not config.language:
            raise ConfigError(f"{config.model} knows several languages; say which is spoken, for instance --language it")  # fmt: skip  # noqa: E501
        if not self.tokens.is_multilingual and wanted.task == "translate":
            raise ConfigError(f"seq2seq.task is 'translate', but {config.model} knows English only; leave it out")
        self.learn(
            normalizer, language=config.language or None, task=wanted.task, timestamp_share=wanted.timestamp_ratio,
            label_smoothing=wanted.label_smoothing, beams=wanted.beams,
        )  # fmt: skip

    def learn(
        self, normalizer: TextNormalizer, *, language: str | None, task: str, timestamp_share: float,
        label_smoothing: float, beams: int = 1,
    ) -> None:  # fmt: skip
        """What is to be learned from now on, and how it is written; see the arguments of the class.

        Raises:
            ConfigError: the model lacks the language.
        """
        self.normalizer, self.language, self.task_token = normalizer, self.tokens.language(language), task
        self.timestamp_share, self.label_smoothing, self.is_pretrained = timestamp_share, label_smoothing, False
        self.beams = beams

    def unused_settings(self, config: FinetuneConfig, train: Manifest) -> Iterator[tuple[str, str]]:
        """Also timestamps without durations."""
        if all(utterance.duration is None for utterance in train):
            yield "seq2seq.timestamp_ratio", "the training manifest has no durations"
        yield from super().unused_settings(config, train)

    def targets(self, utterance: Utterance) -> list[int]:
        """Prompt, transcript and end; context words are those of the manifest's column `context`.

        Where its column `language` names one that the model knows, that is what is spoken.
        """
        text = self.normalizer(utterance.text or "")
        words = self.tokens.spell(text)
        stamped = utterance.duration is not None and fraction_of(utterance.id) < self.timestamp_share
        if stamped and words:
            words = [self.tokens.stamp(0.0), *words, self.tokens.stamp(utterance.duration or 0.0)]
        context = str(utterance.extra.get("context") or "")
        language = self.tokens.known_language(str(utterance.extra.get("language") or "")) or self.language
        prompt = self._prompt(language, self.task_token, context, plain=not stamped)
        return [*(~token for token in prompt), *words, self.tokens.end]

    # Writing

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """As the model was trained; without a language, the most likely one is written."""
        return DecodingOptions(self.beams, "", self.language, self.task_token, TEMPERATURES, word_times=True)

    def check_options(self, options: DecodingOptions) -> None:
        """Check that the model has these options, knows the language, and can translate if it is to.

        Raises:
            ConfigError: it does not.
        """
        super().check_options(options)
        self.tokens.language(options.language)
        if options.task == "translate" and not self.tokens.is_multilingual:
            raise ConfigError("task is 'translate', but this Whisper knows English only; leave it out")

    def no_speech(self, tokens: Tensor, output: Tensor) -> list[float]:
        """Read where the transcript starts."""
        if self.tokens.no_speech is None:
            return super().no_speech(tokens, output)
        start = tokens[0].tolist().index(self.tokens.start)
        return self.logits(output[:, start]).softmax(-1)[:, self.tokens.no_speech].tolist()

    def prompt(self) -> list[int]:
        """The tokens that are given before a transcript by default."""
        return self._prompt(self.language or "en", self.task_token, "", plain=True)

    def _prompt(self, language: str | None, task: str, context: str, *, plain: bool) -> list[int]:
        """The tokens before a transcript; context fills at most half of the positions, as Whisper was trained."""
        return self.tokens.prompt(language, task, context, plain=plain, max_context=self.max_positions // 2 - 1)

    def _prompts(self, hidden_states: Tensor, mask: Tensor | None, options: DecodingOptions) -> Tensor:
        """The prompt of each row [batch, count], with the language of the options, or else the most likely one."""
        device = hidden_states.device
        known = self.tokens.language(options.language) or ("en" if not self.tokens.is_multilingual else None)
        prompt = self._prompt(known or "en", options.task or self.task_token, options.prompt or "", plain=True)
        prompts = torch.tensor([prompt], device=device).repeat(len(hidden_states), 1)
        if known is None:
            prompts[:, prompt.index(self.tokens.start) + 1] = self._spoken(hidden_states, mask)
        return prompts

    def _spoken(self, hidden_states: Tensor, mask: Tensor | None) -> Tensor:
        """The token of the most likely language of each row [batch]."""
        tokens = torch.full((len(hidden_states), 1), self.tokens.start, device=hidden_states.device)
        logits = self.logits(self.run(tokens, hidden_states, mask, None)[:, -1])
        languages = torch.tensor(sorted(self.tokens.languages.values()), device=hidden_states.device)
        return languages[logits[:, languages].argmax(dim=-1)]

    # Folders

    @classmethod
    def built(cls, checkpoint: Checkpoint, encoder: Encoder, **options: Any) -> Self:
        """With random weights.

        Raises:
            CheckpointError: there is no tokenizer, or one that does not fit.
        """
        whole = WhisperConfig(**encoder.describe()["config"])
        return cls(whole, WhisperTokens.read(checkpoint, whole.vocab_size), **options)

    @classmethod
    def read(
        cls, checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
    ) -> Self:
        """As it was pre-trained, with its usual language and task.

        Raises:
            CheckpointError: see `Seq2SeqHead.read`; or a language that the model lacks.
        """
        head = super().read(checkpoint, config, state, encoder)
        head.language, head.task_token = spoken(checkpoint, config, head.tokens)
        return head

    def interchange(self) -> Interchange:
        """The decoder, the tokenizer's files, and what `generate` has to know."""
        generation = generation_config(
            self.config,
            self.tokens,
            language=self.language,
            task=self.task_token,
            writes_nothing=not self.is_pretrained,
        )
        settings = {"generation_config.json": generation, "tokenizer_config.json": tokenizer_settings(self.tokens)}
        config = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), self.tokens.end)
        config |= {"decoder_start_token_id": self.tokens.start, "tie_word_embeddings": True}
        return Interchange({"decoder.": "model.decoder."}, config, settings | self.files())

    def describe(self) -> dict[str, Any]:
        """Everything but the tokenizer, which has a file of its own."""
        own = {"language": self.language, "task": self.task_token, "timestamp_share": self.timestamp_share}
        return super().describe() | own
