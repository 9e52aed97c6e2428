"""Whisper's own decoder: hidden states to text, token by token; trained with the transcript so far as its input.

The modules are those of `transformers`; they are called layer by layer, so that what is padded is never attended to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import WhisperConfig
from transformers.cache_utils import EncoderDecoderCache
from transformers.models.whisper.modeling_whisper import WhisperDecoder

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.non_speech import with_non_speech
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.fallback import with_fallback
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import TEMPERATURES, DecodingOptions
from speechxfer.decoding.search import TokenSequence, greedy, search
from speechxfer.encoders.base import Encoder, LayerGroup, valid_positions
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError
from speechxfer.families.whisper.checks import check_wanted, report_long_texts, report_spelling
from speechxfer.families.whisper.files import generation_config, tokenizer_files
from speechxfer.families.whisper.scorer import Scorer, log_probabilities
from speechxfer.families.whisper.settings import Seq2SeqConfig
from speechxfer.families.whisper.tokens import WhisperTokens, fraction_of
from speechxfer.heads.base import Interchange
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.heads.text_scorer import TextScorer
from speechxfer.progress import Progress

#: Most tokens for an utterance: some, and so many for each of its seconds. Fast speech in a script that is spelled in
#: bytes stays below; a loop is cut soon.
_TOKENS, _TOKENS_A_SECOND = 16, 25
_NOT_LEARNED = -100
#: Above this probability of the token that says so, and with less than this a token for what was written, nothing was
#: said (Radford et al., 2022).
_NO_SPEECH, _DOUBT = 0.6, -1.0


class WhisperSeq2SeqHead(TextScorer):
    """The decoder half of Whisper with its tokenizer.

    Targets are whole token sequences. Those that are given (the prompt) stand there inverted (`~token`, so below
    zero); the others are learned.

    Args:
        config: the whole model's configuration.
        tokens: its tokenizer.
        normalizer: how a transcript is written before it is learned.
        language: what is spoken, by its code; of a multilingual model only. None lets it find out.
        task: "transcribe" or "translate", of a multilingual model.
        attend_everything: attend to all hidden states, as with audio padded to 30 s, not only an utterance's own.
        timestamp_share: share of the utterances that are learned with their times.
        label_smoothing: share of a target that is spread over all tokens.
        is_pretrained: it was not trained here, so it never writes an empty text, as the original.
        beams: hypotheses that are followed at once in decoding, where a call does not say; 1 is greedy.
    """

    kind = "seq2seq"
    decoding_options = frozenset({"beams", "prompt", "language", "task", "temperature"})
    rates = (1e-4, 1e-4)
    attention_matrices = ("q_proj", "k_proj", "v_proj", "out_proj")
    feed_forward_matrices = ("fc1", "fc2")

    def __init__(
        self, config: WhisperConfig, tokens: WhisperTokens, normalizer: TextNormalizer | None = None, *,
        language: str | None = None, task: str = "transcribe", attend_everything: bool = False,
        timestamp_share: float = 0.0, label_smoothing: float = 0.0, is_pretrained: bool = False,
        beams: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = config
        self.tokens = tokens
        self.normalizer = normalizer or TextNormalizer("none")
        self.language, self.task_token = tokens.language(language), task
        self.attend_everything = attend_everything
        self.timestamp_share, self.label_smoothing = timestamp_share, label_smoothing
        self.is_pretrained = is_pretrained
        self.beams = beams
        self.decoder = WhisperDecoder(config)
        #: Of a sequence, prompt and end included.
        self.max_positions: int = config.max_target_positions
        self.frame_rate = 50.0

    @classmethod
    def kept(cls, setup: Setup) -> Self:
        """The checkpoint's own decoder, set to what the run asks for; with random weights where it begins from scratch.

        Raises:
            ConfigError: there is none, or it lacks the language or the task.
        """
        model, own, wanted = setup.config.model, setup.own, setup.config.group_of(Seq2SeqConfig)
        if not isinstance(own, cls):
            reason = setup.problem or f"{model} has no decoder"
            raise ConfigError(f"head is 'seq2seq', but {reason}; wanted a Whisper with its decoder, or --head ctc")
        check_wanted(own, setup)
        if setup.from_scratch:
            own.decoder = WhisperDecoder(own.config)
        own.learn(
            cls.training_normalizer(setup, own), language=wanted.language or None, task=wanted.task,
            timestamp_share=wanted.timestamp_ratio, label_smoothing=wanted.label_smoothing, beams=wanted.beams,
        )  # fmt: skip
        return own

    @classmethod
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """The checkpoint's own decoder; there is no other."""
        return kept or cls.kept(setup)

    @classmethod
    def unusable(cls, utterance: Utterance, num_frames: int, setup: Setup, kept: Self | None) -> Unusable | None:
        """No text, or more tokens than the decoder has positions."""
        found = super().unusable(utterance, num_frames, setup, kept)
        if found is not None or kept is None:
            return found
        targets = kept.targets(utterance)
        if kept.learnable(targets, num_frames):
            return None
        seen = f"its text takes {len(targets)} tokens with the prompt and the end; cut it together with its audio"
        return Unusable(f"have more tokens than the decoder's {kept.max_positions} positions", seen)

    def check_splits(self, splits: Mapping[str, Manifest], config: FinetuneConfig, progress: Progress) -> None:
        """Report a script that is spelled in bytes, and texts that are too long to be written."""
        report_spelling(self, splits["train"], progress)
        for name, manifest in splits.items():
            if name != "train":
                report_long_texts(self, manifest, progress)

    def unused_settings(self, config: FinetuneConfig, train: Manifest) -> Iterator[tuple[str, str]]:
        """Timestamps without durations, and non-speech that is less than an utterance."""
        if all(utterance.duration is None for utterance in train):
            yield "seq2seq.timestamp_ratio", "the training manifest has no durations"
        if not round(config.group_of(Seq2SeqConfig).non_speech_ratio * len(train)):
            yield "seq2seq.non_speech_ratio", f"of {len(train)} utterances that is less than one"

    def training_manifest(self, train: Manifest, config: FinetuneConfig, folder: Path) -> Manifest:
        """With sounds without speech, for which a decoder would write something."""
        return with_non_speech(train, config.group_of(Seq2SeqConfig).non_speech_ratio, folder, config.training.seed)

    # Learning

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

    def num_labels(self, targets: Sequence[int]) -> int:
        """Tokens that are learned."""
        return sum(token >= 0 for token in targets)

    def learnable(self, targets: Sequence[int], num_frames: int) -> bool:
        """Whether the decoder has a position for each token."""
        return len(targets) <= self.max_positions

    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Summed cross-entropy of the tokens that are learned, each after those before it."""
        device = hidden_states.device
        rows = [torch.tensor([token if token >= 0 else ~token for token in row]) for row in targets]
        learned = [torch.tensor([token if token >= 0 else _NOT_LEARNED for token in row[1:]]) for row in targets]
        inputs = pad_sequence([row[:-1] for row in rows], batch_first=True, padding_value=self.tokens.end).to(device)
        labels = pad_sequence(learned, batch_first=True, padding_value=_NOT_LEARNED).to(device)
        output = self.run(inputs, hidden_states, self._attended(hidden_states, num_frames), None)
        wanted = labels != _NOT_LEARNED  # only there the vocabulary is worth multiplying by
        logits = F.linear(output[wanted], self.decoder.embed_tokens.weight).float()
        return F.cross_entropy(logits, labels[wanted], label_smoothing=self.label_smoothing, reduction="sum")

    def layer_groups(self) -> list[LayerGroup]:
        """Tokens and positions, then each layer; the final norm moves with the top layer."""
        decoder = self.decoder
        groups = [LayerGroup("token embedding", 0, (decoder.embed_tokens, decoder.embed_positions))]
        for index, layer in enumerate(decoder.layers):
            top = (decoder.layer_norm,) if index == len(decoder.layers) - 1 else ()
            groups.append(LayerGroup(f"decoder layer {index}", index + 1, (layer, *top)))
        return groups

    def set_dropout(self, probability: float) -> None:
        """On what each layer adds; not inside attention, whose fast kernels have none on a CPU."""
        for layer in self.decoder.layers:
            layer.dropout = layer.activation_dropout = probability

    # Writing

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """As the model was trained; without a language, the most likely one is written."""
        return DecodingOptions(self.beams, "", self.language, self.task_token, TEMPERATURES)

    def check_options(self, options: DecodingOptions) -> None:
        """Check that the model has these options, knows the language, and can translate if it is to.

        Raises:
            ConfigError: it does not.
        """
        super().check_options(options)
        self.tokens.language(options.language)
        if options.task == "translate" and not self.tokens.is_multilingual:
            raise ConfigError("task is 'translate', but this Whisper knows English only; leave it out")

    @torch.inference_mode()
    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> list[Hypothesis]:
        """[batch, frames, width], [batch] -> the transcript of each.

        A transcript that looks wrong (a loop, or tokens of low probability) is sampled at the next temperature.
        """
        mask = self._attended(hidden_states, num_frames)
        prompt = self._prompts(hidden_states, mask, options)
        limits = self.limits(num_frames, prompt.shape[1])
        scorer = self._scorer(prompt, hidden_states, mask)
        first, *others = options.temperatures
        how = {"end": self.tokens.end, "beams": options.beams or 1}
        written = search(scorer, prompt, limits=limits, temperature=first, **how)

        def retry(chosen: list[int], temperature: float) -> list[TokenSequence]:
            rows = torch.tensor(chosen, device=prompt.device)
            scorer = self._scorer(prompt[rows], hidden_states[rows], None if mask is None else mask[rows])
            return search(scorer, prompt[rows], limits=[limits[row] for row in chosen], temperature=temperature, **how)

        written = with_fallback(
            written, retry, temperatures=others, text=lambda item: self.tokens.text(item.tokens),
            seconds=[frames / self.frame_rate for frames in num_frames.tolist()],
        )  # fmt: skip
        return [self._read(*pair) for pair in zip(written, scorer.no_speech, strict=True)]

    def num_positions(self, text: str) -> int:
        """With the prompt, without the end."""
        return len(self.tokens.spell(text)) + len(self.prompt())

    @torch.inference_mode()
    def log_probabilities(
        self, hidden_states: Tensor, num_frames: Tensor, texts: Sequence[Sequence[str]], options: DecodingOptions
    ) -> list[list[float]]:
        """[batch, frames, width], [batch], some texts for each -> natural logarithms of their probabilities.

        Raises:
            ConfigError: a language was named that the model lacks.
        """
        self.check_options(options)
        mask = self._attended(hidden_states, num_frames)
        prompts = self._prompts(hidden_states, mask, options.over(self.decoding_defaults)).tolist()
        return log_probabilities(self, hidden_states, mask, prompts, texts)

    def limits(self, num_frames: Tensor, prompt_size: int) -> list[int]:
        """Most tokens that are written for each utterance [batch]."""
        most = self.max_positions - prompt_size
        return [min(int(_TOKENS + _TOKENS_A_SECOND * frames / self.frame_rate), most) for frames in num_frames.tolist()]

    @torch.inference_mode()
    def first_try(self, hidden_states: Tensor, num_frames: Tensor) -> list[TokenSequence]:
        """What greedy decoding writes for each, without hallucination checks; for comparing models."""
        mask = self._attended(hidden_states, num_frames)
        prompt = self._prompts(hidden_states, mask, self.decoding_defaults)
        scorer = self._scorer(prompt, hidden_states, mask)
        return greedy(scorer, prompt, end=self.tokens.end, limits=self.limits(num_frames, prompt.shape[1]))

    def unwanted(self) -> list[int]:
        """Tokens that are never written: special ones, time stamps, and what the model's configuration forbids."""
        return sorted({*(self.config.suppress_tokens or []), *self.tokens.special} - {self.tokens.end})

    def prompt(self) -> list[int]:
        """The tokens that are given before a transcript by default."""
        return self._prompt(self.language or "en", self.task_token, "", plain=True)

    def _read(self, written: TokenSequence, no_speech: float) -> Hypothesis:
        text = self.tokens.text(written.tokens)
        if no_speech > _NO_SPEECH and written.mean_log_probability < _DOUBT:
            text = ""
        return Hypothesis(text, (), float(torch.tensor(written.mean_log_probability).exp()) if text else None)

    def _scorer(self, prompt: Tensor, hidden_states: Tensor, mask: Tensor | None) -> Scorer:
        unwanted = set(self.unwanted())
        first = set(self.config.begin_suppress_tokens or []) - (set() if self.is_pretrained else {self.tokens.end})
        return Scorer(self, hidden_states, mask, sorted(unwanted), sorted(unwanted | first))

    # Prompts

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

    # The decoder

    def _attended(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor | None:
        """Which frames are attended to [batch, 1, 1, frames]; None where all are."""
        if self.attend_everything or bool((num_frames.cpu() >= hidden_states.shape[1]).all()):
            return None
        lengths = num_frames.to(hidden_states.device).clamp(min=1)
        return valid_positions(lengths, hidden_states.shape[1])[:, None, None]

    def run(
        self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None, cache: EncoderDecoderCache | None
    ) -> Tensor:
        """Tokens [batch, count] after those in the cache -> what stands before the vocabulary [batch, count, width]."""
        decoder = self.decoder
        past = cache.get_seq_length() if cache is not None else 0
        positions = decoder.embed_positions.weight[past : past + tokens.shape[1]]
        output = decoder.embed_tokens(tokens) + positions
        for layer in decoder.layers:  # by position: the cache's name changed in transformers 5.24
            output = layer(output, None, hidden_states, mask, cache, cache is not None)
        return cast(Tensor, decoder.layer_norm(output))

    def no_speech(self, tokens: Tensor, output: Tensor) -> list[float]:
        """Probability that nothing is said, read where the transcript starts, of each row of a prompt."""
        if self.tokens.no_speech is None:
            return [0.0] * len(tokens)
        start = tokens[0].tolist().index(self.tokens.start)
        return self.logits(output[:, start]).softmax(-1)[:, self.tokens.no_speech].tolist()

    def logits(self, output: Tensor) -> Tensor:
        """What stands before the vocabulary [..., width] -> [..., vocabulary], in float32."""
        return F.linear(output, self.decoder.embed_tokens.weight).float()

    # Folders

    def interchange(self) -> Interchange:
        """The decoder, the tokenizer's files, and what `generate` has to know."""
        generation = generation_config(
            self.config,
            self.tokens,
            language=self.language,
            task=self.task_token,
            writes_nothing=not self.is_pretrained,
        )
        files = {"generation_config.json": generation, **tokenizer_files(self.tokens)}
        config = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), self.tokens.end)
        config |= {"decoder_start_token_id": self.tokens.start, "tie_word_embeddings": True}
        return Interchange({"decoder.": "model.decoder."}, config, files)

    def describe(self) -> dict[str, Any]:
        """Everything but the tokenizer, which has a file of its own."""
        # Two values keep the names that they have in models saved before: of `timestamp_ratio` and `is_pretrained`.
        return {
            "kind": self.kind,
            "normalizer": self.normalizer.to_dict(),
            "language": self.language, "task": self.task_token, "attend_everything": self.attend_everything,
            "timestamp_share": self.timestamp_share, "label_smoothing": self.label_smoothing,
            "untouched": self.is_pretrained, "beams": self.beams,  # codespell:ignore untouched
        }  # fmt: skip

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights.

        Raises:
            CheckpointError: there is no tokenizer, or a normalizer that is not known here.
        """
        options = {name: value for name, value in description.items() if name not in ("kind", "normalizer")}
        options["is_pretrained"] = options.pop("untouched")  # codespell:ignore untouched
        normalizer = TextNormalizer.restore(description["normalizer"])
        whole = WhisperConfig(**encoder.describe()["config"])
        return cls(whole, WhisperTokens.read(checkpoint, whole.vocab_size), normalizer, **options)
