"""A checkpoint's own decoder: hidden states to text, token by token; it is trained with the transcript as its input."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from speechxfer.config import FinetuneConfig
from speechxfer.config.families import FAMILIES
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.non_speech import with_non_speech
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.fallback import with_fallback
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import TEMPERATURES, DecodingOptions
from speechxfer.decoding.search import TokenSequence, greedy, sample, search
from speechxfer.encoders.base import Encoder, LayerGroup, valid_positions
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.seq2seq.alignment import with_words
from speechxfer.heads.seq2seq.checks import report_long_texts, report_spelling
from speechxfer.heads.seq2seq.scorer import Scorer, log_probabilities
from speechxfer.heads.seq2seq.settings import Seq2SeqConfig
from speechxfer.heads.seq2seq.tokens import DecoderTokens
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.heads.text_scorer import TextScorer
from speechxfer.progress import Progress

#: Tokens that any utterance may have, besides those for each of its seconds.
_TOKENS = 16
_NOT_LEARNED = -100
#: Above this probability of the token that says so, and with less than this a token for what was written, nothing was
#: said (Radford et al., 2022).
_NO_SPEECH, _DOUBT = 0.6, -1.0
#: What weights are called in `transformers`, whichever the family.
_DECODER, _EMBEDDING, _OUTPUT = "model.decoder.", "model.decoder.embed_tokens.weight", "proj_out.weight"


class Seq2SeqHead(TextScorer):
    """What the decoders of all families have in common.

    Targets are whole token sequences. Those that are given (the prompt) stand there inverted (`~token`, so below
    zero); the others are learned.

    A family says what its decoder is (`new_decoder`, `new_cache`, `run`, `_parts`), what is given to it (`prompt`), how
    it is set to what a run asks for (`prepare`), and how it is opened and saved (`built`, `interchange`).

    Args:
        config: the whole model's configuration, as `transformers` has it.
        tokens: its tokenizer.
        normalizer: how a transcript is written before it is learned.
        attend_everything: attend to all hidden states, as with padded audio, not only an utterance's own.
        label_smoothing: fraction of a target that is spread over all tokens.
        is_pretrained: it was not trained here, so it writes an empty text only where the original does.
        beams: hypotheses that are followed at once in decoding, where a call does not say; 1 is greedy.
    """

    kind = "seq2seq"
    decoding_options = frozenset({"beams", "temperature", "word_times"})
    rates = (1e-4, 1e-4)
    leaves_out_pauses = False
    #: A step takes about as long for many utterances as for a few.
    most_padding = 0.5
    #: What messages call it.
    title: str
    #: Hidden states a second; fewer where frames are pooled.
    frame_rate: float
    #: Most tokens for each second of an utterance. Fast speech stays below; a loop is cut soon.
    tokens_a_second: float
    #: What the number of its positions is called in `config`; prompt and end are among them.
    positions_setting: str
    max_positions: int
    #: The modules of `transformers`, with an `embed_tokens` that is also what the output is multiplied by.
    decoder: Any

    def __init__(
        self, config: Any, tokens: DecoderTokens, normalizer: TextNormalizer | None = None, *,
        attend_everything: bool = False, label_smoothing: float = 0.0, is_pretrained: bool = False, beams: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = config
        self.tokens = tokens
        self.normalizer = normalizer or TextNormalizer("none")
        self.attend_everything = attend_everything
        self.label_smoothing, self.is_pretrained, self.beams = label_smoothing, is_pretrained, beams
        self.max_positions = getattr(config, self.positions_setting)
        self.decoder = self.new_decoder()

    # What a family says

    @abstractmethod
    def new_decoder(self) -> nn.Module:
        """The decoder with random weights."""

    @abstractmethod
    def new_cache(self) -> Any:
        """What the decoder remembers of tokens: nothing so far. A cache of `transformers`."""

    @abstractmethod
    def run(self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None, cache: Any) -> Tensor:
        """Tokens [batch, count] after those in the cache -> what stands before the vocabulary [batch, count, width].

        Args:
            mask: which frames are attended to [batch, 1, 1, frames]; None where all are.
            cache: of `new_cache`; None where tokens are all there are.
        """

    @abstractmethod
    def asked(self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
        """What each layer asks its cross-attention with [batch, count, width], as `run` without a cache."""

    @abstractmethod
    def _parts(self) -> tuple[tuple[nn.Module, ...], Sequence[nn.Module], nn.Module]:
        """What stands below the layers, the layers, and the final norm."""

    @abstractmethod
    def prompt(self) -> list[int]:
        """The tokens that are given before a transcript by default."""

    @abstractmethod
    def prepare(self, config: FinetuneConfig, normalizer: TextNormalizer) -> None:
        """Set it to what a run asks for.

        Raises:
            ConfigError: it lacks something that is asked for.
        """

    @classmethod
    @abstractmethod
    def built(cls, checkpoint: Checkpoint, encoder: Encoder, **options: Any) -> Self:
        """The decoder of an encoder with random weights, and the tokenizer in the folder of the checkpoint.

        Args:
            options: of the class, besides configuration and tokenizer.

        Raises:
            CheckpointError: there is no tokenizer, or one that does not fit.
        """

    # Before training

    @classmethod
    def read(
        cls, checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
    ) -> Self:
        """The decoder of a checkpoint that `transformers` saved, as it was pre-trained.

        Raises:
            CheckpointError: there is no tokenizer, weights are missing, or its output is not its token embedding.
        """
        if not config.get("tie_word_embeddings", True) and not torch.equal(state.get(_OUTPUT, torch.empty(0)), state[_EMBEDDING]):  # fmt: skip  # noqa: E501
            raise CheckpointError(f"{checkpoint.name}: its decoder's output matrix is not its token embedding (tie_word_embeddings), which is not supported")  # fmt: skip  # noqa: E501
        head = cls.built(checkpoint, encoder, attend_everything=encoder.fixed_length, is_pretrained=True)
        own = {name.removeprefix(_DECODER): value for name, value in state.items() if name.startswith(_DECODER)}
        try:
            head.decoder.load_state_dict(own)
        except RuntimeError as error:
            detail = " ".join(str(error).split())
            raise CheckpointError(f"{checkpoint.name}: the decoder's weights do not fit config.json: {detail:.300}") from error  # fmt: skip  # noqa: E501
        return head

    @classmethod
    def kept(cls, setup: Setup) -> Self:
        """The checkpoint's own decoder, set to what the run asks for; with random weights where it begins from scratch.

        Raises:
            ConfigError: there is none, or it lacks something that is asked for.
        """
        model, own = setup.config.model, setup.own
        if not isinstance(own, cls):
            reason = setup.problem or f"{model} has no decoder"
            having = ", ".join(name for name, family in FAMILIES.items() if family.decoder)
            raise ConfigError(f"head is {cls.kind!r}, but {reason}; wanted a model with its decoder ({having}), or --head ctc")  # fmt: skip  # noqa: E501
        if setup.encoder.stacked:
            raise ConfigError(f"plan.weighted_layer_sum is true, but {own.title} reads the last layer only; leave it out, or take --head ctc or classification")  # fmt: skip  # noqa: E501
        own.prepare(setup.config, cls.training_normalizer(setup, own))
        own.frame_rate = setup.encoder.output_frame_rate
        if setup.from_scratch:
            own.decoder = own.new_decoder()
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
        """Non-speech that is less than an utterance."""
        if not round(config.group_of(Seq2SeqConfig).non_speech_ratio * len(train)):
            yield "seq2seq.non_speech_ratio", f"of {len(train)} utterances that is less than one"

    def training_manifest(self, train: Manifest, config: FinetuneConfig, folder: Path) -> Manifest:
        """With sounds without speech, for which a decoder would write something."""
        return with_non_speech(train, config.group_of(Seq2SeqConfig).non_speech_ratio, folder, config.training.seed)

    # Learning

    def targets(self, utterance: Utterance) -> list[int]:
        """Prompt, transcript and end."""
        words = self.tokens.spell(self.normalizer(utterance.text or ""))
        return [*(~token for token in self.prompt()), *words, self.tokens.end]

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
        logits = self.logits(output[wanted])
        return F.cross_entropy(logits, labels[wanted], label_smoothing=self.label_smoothing, reduction="sum")

    def layer_groups(self) -> list[LayerGroup]:
        """Tokens and positions, then each layer; the final norm moves with the top layer."""
        below, layers, norm = self._parts()
        groups = [LayerGroup("token embedding", 0, below)]
        for index, layer in enumerate(layers):
            top = (norm,) if index == len(layers) - 1 else ()
            groups.append(LayerGroup(f"decoder layer {index}", index + 1, (layer, *top)))
        return groups

    # Writing

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """As the model was trained."""
        return DecodingOptions(beams=self.beams, temperature=TEMPERATURES, word_times=True)

    @torch.inference_mode()
    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> list[Hypothesis]:
        """[batch, frames, width], [batch] -> the transcript of each.

        A transcript that looks wrong (a loop, or tokens of low probability) is sampled at the next temperature.
        """
        mask = self._attended(hidden_states, num_frames)
        prompt = self._prompts(hidden_states, mask, options)
        limits = self.limits(num_frames, prompt.shape[1])
        scorer = self._scorer(hidden_states, mask)
        first, *others = options.temperatures
        end = self.tokens.end
        written = search(scorer, prompt, end=end, limits=limits, beams=options.beams or 1, temperature=first)

        def retry(chosen: list[int]) -> list[list[TokenSequence]]:
            rows = torch.tensor(chosen, device=prompt.device)
            scorer = self._scorer(hidden_states[rows], None if mask is None else mask[rows])
            return sample(scorer, prompt[rows], end=end, limits=[limits[row] for row in chosen], temperatures=others)

        written = with_fallback(
            written, retry, len(others), text=lambda item: self.tokens.text(item.tokens),
            seconds=[frames / self.frame_rate for frames in num_frames.tolist()],
        )  # fmt: skip
        found = [self._read(*pair) for pair in zip(written, scorer.no_speech, strict=True)]
        return (
            with_words(self, found, written, prompt, (hidden_states, num_frames, mask)) if options.word_times else found
        )

    def cross_attention(self, layer: int) -> Any:
        """The module with which a layer attends to hidden states."""
        return self._parts()[1][layer].encoder_attn

    def num_positions(self, text: str) -> int:
        """With the prompt, without the end."""
        return len(self.tokens.spell(text)) + len(self.prompt())

    @torch.inference_mode()
    def log_probabilities(
        self, hidden_states: Tensor, num_frames: Tensor, texts: Sequence[Sequence[str]], options: DecodingOptions
    ) -> list[list[float]]:
        """[batch, frames, width], [batch], some texts for each -> natural logarithms of their probabilities.

        Raises:
            ConfigError: an option of decoding that the decoder does not have.
        """
        self.check_options(options)
        mask = self._attended(hidden_states, num_frames)
        prompts = self._prompts(hidden_states, mask, options.over(self.decoding_defaults)).tolist()
        return log_probabilities(self, hidden_states, mask, prompts, texts)

    def limits(self, num_frames: Tensor, prompt_size: int) -> list[int]:
        """Most tokens that are written for each utterance [batch]."""
        most, rate = self.max_positions - prompt_size, self.tokens_a_second
        return [min(int(_TOKENS + rate * frames / self.frame_rate), most) for frames in num_frames.tolist()]

    @torch.inference_mode()
    def first_try(
        self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions | None = None
    ) -> list[TokenSequence]:
        """What greedy decoding writes for each, without hallucination checks; for comparing models."""
        mask = self._attended(hidden_states, num_frames)
        prompt = self._prompts(hidden_states, mask, options or self.decoding_defaults)
        scorer = self._scorer(hidden_states, mask)
        return greedy(scorer, prompt, end=self.tokens.end, limits=self.limits(num_frames, prompt.shape[1]))

    def unwanted(self) -> list[int]:
        """Tokens that are never written: special ones, and what the model's configuration forbids."""
        return sorted({*self._suppressed("suppress_tokens"), *self.tokens.special} - {self.tokens.end})

    def unwanted_first(self) -> list[int]:
        """Those that are not written first; only a model that was not trained here has to write something."""
        first = set(self._suppressed("begin_suppress_tokens")) - (set() if self.is_pretrained else {self.tokens.end})
        return sorted(first | set(self.unwanted()))

    def no_speech(self, tokens: Tensor, output: Tensor) -> list[float]:
        """Probability that nothing is said, for each row of a prompt and what the decoder made of it; 0 if unknown."""
        return [0.0] * len(tokens)

    def logits(self, output: Tensor) -> Tensor:
        """What stands before the vocabulary [..., width] -> [..., vocabulary], in float32."""
        return F.linear(output, self.decoder.embed_tokens.weight).float()

    def _suppressed(self, setting: str) -> list[int]:
        return getattr(self.config, setting, None) or []

    def _read(self, written: TokenSequence, no_speech: float) -> Hypothesis:
        text = self.tokens.text(written.tokens)
        if no_speech > _NO_SPEECH and written.mean_log_probability < _DOUBT:
            text = ""
        return Hypothesis(text, (), float(torch.tensor(written.mean_log_probability).exp()) if text else None)

    def _scorer(self, hidden_states: Tensor, mask: Tensor | None) -> Scorer:
        return Scorer(self, hidden_states, mask, self.unwanted(), self.unwanted_first())

    def _prompts(self, hidden_states: Tensor, mask: Tensor | None, options: DecodingOptions) -> Tensor:
        """The prompt of each row [batch, count]."""
        return torch.tensor([self.prompt()], device=hidden_states.device).repeat(len(hidden_states), 1)

    def _attended(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor | None:
        """Which frames are attended to [batch, 1, 1, frames]; None where all are."""
        if self.attend_everything or bool((num_frames.cpu() >= hidden_states.shape[1]).all()):
            return None
        lengths = num_frames.to(hidden_states.device).clamp(min=1)
        return valid_positions(lengths, hidden_states.shape[1])[:, None, None]

    # Folders

    def describe(self) -> dict[str, Any]:
        """Everything but the tokenizer, which has a file of its own."""
        return {
            "kind": self.kind,
            "normalizer": self.normalizer.to_dict(),
            "attend_everything": self.attend_everything, "label_smoothing": self.label_smoothing,
            "untouched": self.is_pretrained, "beams": self.beams,  # codespell:ignore untouched
        }  # fmt: skip

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights.

        Raises:
            CheckpointError: there is no tokenizer, or a normalizer that is not known here.
        """
        options = {name: value for name, value in description.items() if name != "kind"}
        options["is_pretrained"] = options.pop("untouched")  # codespell:ignore untouched
        options["normalizer"] = TextNormalizer.restore(description["normalizer"])
        head = cls.built(checkpoint, encoder, **options)
        head.frame_rate = encoder.output_frame_rate
        return head

    def files(self) -> dict[str, Any]:
        """The tokenizer."""
        return {"tokenizer.json": json.loads(self.tokens.tokenizer.to_str())}
