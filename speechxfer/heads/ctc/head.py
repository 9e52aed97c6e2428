"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig
from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters, Vocabulary, frames_needed, restore_vocabulary
from speechxfer.decoding.greedy import collapse, hypothesis
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.lexicon import Lexicon, Search, Weights
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.base import Head, Interchange
from speechxfer.heads.ctc.choice import choose
from speechxfer.heads.ctc.files import tokenizer_files
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.heads.fusion import Fusion
from speechxfer.heads.layer_sum import LayerSum
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.language_models import LanguageModel
from speechxfer.progress import Progress

#: Texts that are followed at once, where there are hotwords and no language model that was tuned with a number.
_BEAMS = 50
#: Most that a hotword adds for each of its letters. It is less than letters cost that nobody said, so that no weight
#: makes a model recite hotwords.
_MOST_PER_LETTER = 1.25


class CTCHead(Head):
    """One linear layer to the vocabulary and the blank.

    Args:
        width: size of a hidden state.
        frame_rate: hidden states a second, for the times of words.
        vocabulary: the symbols.
        normalizer: how a transcript is written before it is spelled.
        states: how many hidden states stand side by side, to be weighed.
    """

    kind = "ctc"
    is_frame_synchronous = True
    decoding_options = frozenset({"beams", "hotwords", "word_times"})

    def __init__(
        self, width: int, frame_rate: float, vocabulary: Vocabulary, normalizer: TextNormalizer, *, states: int = 1
    ) -> None:
        super().__init__()
        self.frame_rate = frame_rate
        self.vocabulary = vocabulary
        self.normalizer = normalizer
        self.layer_sum = LayerSum(states) if states > 1 else nn.Identity()
        self.projection = nn.Linear(width, len(vocabulary))
        #: The language model that takes part in decoding, if there is one.
        self.fusion: Fusion | None = None
        self._lexicon = self.lexicon(None)

    def fuse(self, fusion: Fusion | None) -> None:
        """Decode with a language model from now on; None for none.

        Raises:
            ConfigError: the vocabulary writes no spaces, so that there are no words.
        """
        self._lexicon = self.lexicon(None if fusion is None else fusion.model)
        self.fusion = fusion

    def lexicon(self, language_model: LanguageModel | None) -> Lexicon:
        """The words of a language model as the vocabulary spells them."""
        return Lexicon(self.written[1:], language_model)

    def spell(self, text: str) -> list[int | None]:
        """The symbols that write a text, as the head normalizes it; None for a character that it lacks."""
        return [self.vocabulary.index(symbol) for symbol in self.vocabulary.split(self.normalizer(text))]

    @property
    def written(self) -> list[str]:
        """What each symbol writes; the blank none."""
        return ["", *(self.vocabulary.written(index) for index in range(1, len(self.vocabulary)))]

    @classmethod
    def kept(cls, setup: Setup) -> Self | None:
        """The checkpoint's own head, unless a new one is asked for."""
        wanted = setup.config.group_of(CTCConfig).vocabulary
        if wanted == "new":
            return None
        if setup.problem is not None:
            if wanted == "extend":
                raise ConfigError(f"ctc.vocabulary is 'extend', but {setup.problem}; take --new-vocabulary")
            setup.progress.log(f"{setup.problem}; a new head is trained in its place")
        return super().kept(setup)

    @classmethod
    def draft(cls, setup: Setup, kept: Self | None, measured: Sequence[tuple[Utterance, int]]) -> Self | None:
        """The head that is kept, or a new one with pieces of words; one with characters has those of what is usable."""
        if kept is not None:
            return kept
        normalizer, rate = cls.training_normalizer(setup, None), setup.encoder.output_frame_rate
        spoken = [(normalizer(one.text), frames) for one, frames in measured if one.text is not None]
        choice = choose(spoken, rate, setup.config.group_of(CTCConfig))
        if choice.reason:
            setup.progress.log(choice.reason)
        return None if choice.pieces is None else cls._new(setup, choice.pieces)

    @classmethod
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """A new head for the training text, or the checkpoint's own, extended where that is asked."""
        if kept is None:
            written = Characters.from_texts(map(cls.training_normalizer(setup, None), texts(train)))
            setup.progress.log(f"{len(written.symbols)} characters in the training text: {''.join(written.symbols)!r}")
            return cls._new(setup, written)
        if kept is not setup.own:
            return kept
        if kept.fusion is not None:
            setup.progress.log("the model's language model is left out, for it is tuned to what the model was; tune one again after training (speechxfer lm tune)")  # fmt: skip  # noqa: E501
            kept.fuse(None)
        kept.normalizer, vocabulary = cls.training_normalizer(setup, kept), kept.vocabulary
        new = vocabulary.missing(map(kept.normalizer, texts(train)))
        writes = f"{setup.config.model} has a CTC head for {len(vocabulary.symbols)} {vocabulary.units}"
        if not new:
            setup.progress.log(f"{writes}, which is kept")
            return kept
        if setup.config.group_of(CTCConfig).vocabulary != "extend":
            raise DataError(
                f"{train.path}: {vocabulary.listed(new)!r} occur in the training text (as normalizer "
                f"{kept.normalizer.name!r} writes it), but {writes} without them; write it otherwise with "
                "--normalizer, add them with --extend-vocabulary, or begin with a new head with --new-vocabulary"
            )
        setup.progress.log(f"{writes}, to which {len(new)} are added: {vocabulary.listed(new)!r}")
        return kept.extended(new)

    @classmethod
    def _new(cls, setup: Setup, vocabulary: Vocabulary) -> Self:
        normalizer, encoder = cls.training_normalizer(setup, None), setup.encoder
        return cls(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights."""
        normalizer = TextNormalizer.restore(description["normalizer"])
        vocabulary = restore_vocabulary(description["vocabulary"])
        head = cls(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)
        if fused := description.get("language_model"):
            head.fuse(Fusion.restore(fused, checkpoint))
        return head

    @classmethod
    def training_normalizer(cls, setup: Setup, kept: Self | None) -> TextNormalizer:
        """That of a head that is kept, unless another is asked for."""
        if kept is not None and not setup.config.text.normalizer:
            return kept.normalizer
        return super().training_normalizer(setup, kept)

    @classmethod
    def unusable(cls, utterance: Utterance, num_frames: int, setup: Setup, kept: Self | None) -> Unusable | None:
        """No text, or more characters than there are frames to spell them."""
        if (found := super().unusable(utterance, num_frames, setup, kept)) is not None:
            return found
        text = cls.training_normalizer(setup, kept)(utterance.text or "")
        # Unknown symbols count as others do: they are refused elsewhere.
        needed = kept.vocabulary.frames_needed(text) if kept else max(frames_needed(text), 1)
        if num_frames >= needed:
            return None
        remedies = ["a smaller --frame-stride gives more"] if setup.encoder.pooling else []
        if kept is None and setup.config.group_of(CTCConfig).units == "characters":
            remedies.append("pieces of words need fewer (--units pieces)")
        remedy = ", and ".join(remedies) or "does it belong there?"
        return Unusable("are too short for their text", f"{num_frames} frames, but {needed} are needed to spell it; {remedy}")  # fmt: skip  # noqa: E501

    def check_splits(self, splits: Mapping[str, Manifest], config: FinetuneConfig, progress: Progress) -> None:
        """Characters outside the vocabulary; of "retain" they are what is forgotten, and fine.

        Raises:
            DataError: there are some, and they are not to be ignored.
        """
        for name, manifest in splits.items():
            if name == "retain" or not (message := self._unknown(name, manifest)):
                continue
            if not config.group_of(CTCConfig).ignore_unknown:
                raise DataError(f"{message}; add training text with it, or pass --ignore-unknown to count it as wrong")
            progress.log(f"{message}; they count as wrong")

    def unused_settings(self, config: FinetuneConfig, train: Manifest) -> Iterator[tuple[str, str]]:
        """What was asked for of a new vocabulary, where the checkpoint's own is kept or has characters."""
        own, vocabulary = config.group_of(CTCConfig), self.vocabulary
        kept = "the vocabulary of the checkpoint is kept (--new-vocabulary replaces it)"
        if own.units not in ("auto", vocabulary.kind):
            yield "ctc.units", kept
        if own.vocabulary_size != len(vocabulary.symbols):
            yield "ctc.vocabulary_size", "ctc.units is characters" if own.units == vocabulary.kind else kept

    def _unknown(self, name: str, manifest: Manifest) -> str | None:
        """A line about the characters of a split that the vocabulary lacks."""
        missing = {
            utterance.origin: self.vocabulary.listed(unknown)
            for utterance, text in zip(manifest, texts(manifest), strict=True)
            if (unknown := self.vocabulary.unknown(self.normalizer(text)))
        }
        if not missing:
            return None
        line, symbols = next(iter(missing.items()))
        return (
            f"{line}: {symbols!r} does not occur in the training text, so it cannot be written "
            f"({len(missing)} of {len(manifest)} utterances of {name} hold such {self.vocabulary.foreign})"
        )

    def targets(self, utterance: Utterance) -> list[int]:
        """Indices of the symbols of the normalized transcript; unknown ones are left out."""
        return self.vocabulary.encode(self.normalizer(utterance.text or ""))

    def learnable(self, targets: Sequence[int], num_frames: int) -> bool:
        """Whether there are enough frames to spell the targets."""
        return num_frames >= max(frames_needed(targets), 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, frames, width] -> log-probabilities [batch, frames, symbols + 1], always in float32."""
        return F.log_softmax(self.logits(hidden_states).float(), dim=-1)

    def frame_log_probabilities(self, hidden_states: Tensor) -> Tensor:
        """As `forward`."""
        return self.forward(hidden_states)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """[batch, frames, width] -> [batch, frames, symbols + 1]."""
        return cast(Tensor, self.projection(self.layer_sum(hidden_states)))

    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Summed negative log-likelihood; an utterance with too few frames adds nothing (`zero_infinity`)."""
        if hidden_states.device.type == "cpu":
            from speechxfer.heads.ctc.loss import ctc_loss  # late: it is compiled on first use

            return ctc_loss(self.logits(hidden_states), num_frames, targets)
        # All on the CPU, where the kernel reads lengths; it moves the targets to the device by itself.
        flat = torch.tensor([number for row in targets for number in row], dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in targets], dtype=torch.int64)
        log_probabilities = self(hidden_states).transpose(0, 1)
        return F.ctc_loss(
            log_probabilities, flat, num_frames.cpu(), lengths,
            blank=Vocabulary.BLANK, reduction="sum", zero_infinity=True,
        )  # fmt: skip

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """With word times, which cost nothing; greedy, but with a language model as many beams as it was tuned with."""
        return DecodingOptions(beams=self.fusion.beams if self.fusion else None, word_times=True)

    def check_options(self, options: DecodingOptions) -> None:
        """As everywhere; hotwords need a beam search and characters that the head has."""
        super().check_options(options)
        if options.hotwords and options.beams == 1:
            raise ConfigError("beams is 1, which is greedy decoding, but hotwords need a beam search; leave one of them out")  # fmt: skip  # noqa: E501
        if options.hotwords and not self._hotwords(options):
            first = options.weighted_hotwords[0][0]
            raise ConfigError(f"hotwords: none can be spelled with the characters of the model ({''.join(self.vocabulary.alphabet)!r:.60}), such as {first!r}; leave them out")  # fmt: skip  # noqa: E501

    def _hotwords(self, options: DecodingOptions) -> dict[str, float]:
        """Words that hotwords consist of, with what they add.

        A word of a phrase has its part of the weight; one that the language model has gets none, for it needs no help.
        Short words add less than their weight.
        """
        alphabet = set(self.vocabulary.alphabet)
        found: dict[str, float] = {}
        for phrase, weight in options.weighted_hotwords:
            words = self.normalizer(phrase).split()
            if words and all(set(word) <= alphabet for word in words):
                single = len(words) == 1
                new = [word for word in words if single or word not in self._lexicon]
                found |= {word: min(weight / len(words), _MOST_PER_LETTER * len(word)) for word in new}
        return found

    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> list[Hypothesis]:
        """Greedy with one beam: the most likely symbol of every frame. Otherwise by beam search."""
        scores, lengths = self(hidden_states), num_frames.tolist()
        lexicon = self._lexicon
        if options.hotwords:
            lexicon = lexicon.with_hotwords(tuple(sorted(self._hotwords(options).items())))
        beams = options.beams or (_BEAMS if options.hotwords else 1)
        if beams == 1:
            best, path = scores.max(dim=-1)
            rows = zip(path.tolist(), best.tolist(), lengths, strict=True)
            found = [self._spelled(row[:length], values[:length]) for row, values, length in rows]
        else:
            search = Search(lexicon, self.fusion.weights if self.fusion else Weights(), beams)
            frames = zip(scores.detach().cpu().numpy(), lengths, strict=True)
            found = [self.read_frames(row[:length], search) for row, length in frames]
        return found if options.word_times else [replace(one, words=()) for one in found]

    def read_frames(self, log_probabilities: NDArray[np.float32], search: Search | None) -> Hypothesis:
        """[frames, symbols + 1] -> text with the times of its most likely path; greedy without a search."""
        if search is None:
            path = log_probabilities.argmax(axis=1)
        else:
            from speechxfer.decoding.ctc_alignment import best_path  # late: both are compiled on first use
            from speechxfer.decoding.ctc_beam import best_text

            path = best_path(log_probabilities, best_text(log_probabilities, search)[0])
        return self._spelled(path.tolist(), log_probabilities[np.arange(len(path)), path].tolist())

    def _spelled(self, path: list[int], log_probabilities: list[float]) -> Hypothesis:
        """The text of a path."""
        symbols, vocabulary = collapse(path, log_probabilities, Vocabulary.BLANK), self.vocabulary
        return hypothesis(
            symbols, [vocabulary.written(symbol.number) for symbol in symbols], 1.0 / self.frame_rate,
            separator=vocabulary.separator, pauses=not vocabulary.leading_spaces,
        )  # fmt: skip

    def extended(self, symbols: Sequence[str]) -> Self:
        """A head that can write further symbols; what it knew before, it still knows.

        New rows begin as random as those of a new head, with the mean bias of the old symbols.
        """
        vocabulary = self.vocabulary.extended(symbols)
        head = type(self)(self.projection.in_features, self.frame_rate, vocabulary, self.normalizer)
        head.layer_sum = self.layer_sum
        known = len(self.vocabulary)
        with torch.no_grad():
            head.projection.weight[:known] = self.projection.weight
            head.projection.bias[known:] = self.projection.bias[1:].mean()
            head.projection.bias[:known] = self.projection.bias
        return head

    def interchange(self) -> Interchange | None:
        """`lm_head`, and the files of a tokenizer that writes as the vocabulary does.

        None where `transformers` has no such tokenizer, and for a sum of layers.
        """
        files = tokenizer_files(self.vocabulary)
        if files is None or isinstance(self.layer_sum, LayerSum):
            return None
        config = {
            "vocab_size": len(self.vocabulary), "pad_token_id": Vocabulary.BLANK,
            "ctc_loss_reduction": "mean", "ctc_zero_infinity": True,
        }  # fmt: skip
        return Interchange({"projection.": "lm_head."}, config, files)

    def summary(self) -> str:
        """With the size of its vocabulary."""
        return f"ctc head for {len(self.vocabulary.symbols)} {self.vocabulary.units}"

    def describe(self) -> dict[str, Any]:
        """Vocabulary and normalizer."""
        return {
            "kind": self.kind,
            "vocabulary": self.vocabulary.to_dict(),
            "normalizer": self.normalizer.to_dict(),
            **({"language_model": self.fusion.describe()} if self.fusion else {}),
        }

    def write_files(self, folder: Path) -> None:
        """The language model."""
        if self.fusion is not None:
            self.fusion.write(folder)
