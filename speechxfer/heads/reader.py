"""What is known of a head without its weights, and readers, which turn what it computed into predictions.

Nothing here needs torch, so that an exported model is decoded by the code that decoded it before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.batching import MOST_PADDING
from speechxfer.data.loading import check_words, texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.decoding.lexicon import Lexicon, Search
    from speechxfer.heads.fusion import Fusion
    from speechxfer.language_models import LanguageModel


class HeadTraits:
    """What kind of predictions a head gives, and the options of decoding that it takes."""

    kind: str
    #: What its predictions are: what was said, or which class it is.
    task: Literal["transcription", "classification"] = "transcription"
    #: The options of decoding that it has: names of fields of `DecodingOptions`.
    decoding_options: frozenset[str] = frozenset()
    #: Whether its words end where a pause begins, and not only where the next word does.
    leaves_out_pauses = True
    #: Most padding of a batch, as a fraction of it.
    most_padding = MOST_PADDING
    #: Hidden states a second, of a head that gives times.
    frame_rate: float
    #: Whether it gives probabilities of symbols for each hidden state; only then it has symbols and spells texts.
    is_frame_synchronous = False

    @property
    def symbol_texts(self) -> list[str]:
        """What each symbol writes, with the spaces between words; the blank, which is 0, writes none."""
        raise NotImplementedError(f"a {self.kind} head has no symbols for single hidden states")

    def spell(self, text: str) -> list[int | None]:
        """The symbols that write a text, as the head normalizes it; None for a character that it lacks."""
        raise NotImplementedError(f"a {self.kind} head spells no texts")

    def lexicon(self, language_model: LanguageModel | None) -> Lexicon:
        """The words of a language model as the head spells them.

        Raises:
            ConfigError: the head does not decode with a language model, or writes no spaces.
        """
        raise ConfigError(f"a {self.kind} head does not decode with a language model; wanted a CTC head")

    def read_frames(self, log_probabilities: NDArray[np.float32], search: Search | None) -> Hypothesis:
        """[frames, symbols] as `Predictor.frame_log_probabilities` gives them -> text; greedy without a search.

        Only of a head that has a `lexicon`.
        """
        raise NotImplementedError(f"a {self.kind} head reads no single frames")

    def fuse(self, fusion: Fusion | None) -> None:
        """Decode with a language model from now on; None for none. As for `lexicon`."""
        self.lexicon(None if fusion is None else fusion.model)

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """What an option is where a call leaves it out."""
        return DecodingOptions()

    def check_options(self, options: DecodingOptions) -> None:
        """Check that decoding takes these options; None always passes, and so does a word_times of False.

        Raises:
            ConfigError: an option or a value that the head does not have.
        """
        for name, value in options.given().items():
            if name not in self.decoding_options and value is not False:
                has = ", ".join(sorted(self.decoding_options)) or "none"
                raise ConfigError(f"{name} is {value!r}, but a {self.kind} head has no such option; leave it out (options of its decoding: {has})")  # fmt: skip  # noqa: E501

    def check_measurable(self, manifest: Manifest, normalizer: TextNormalizer | None) -> None:
        """Check that predictions can be compared with a manifest.

        Args:
            manifest: of the split.
            normalizer: applied before errors are counted; without one, texts may be without words.

        Raises:
            DataError: an utterance without text or label, a label that the head does not know, or no word in any text.
        """
        if normalizer is None:
            texts(manifest)
        else:
            check_words(manifest, normalizer)


class Reader(HeadTraits, ABC):
    """The last step of a head: from its outputs to predictions."""

    @classmethod
    @abstractmethod
    def restore(cls, description: Mapping[str, Any], file: Callable[[str], Path]) -> Self:
        """The inverse of `describe` and `write_files`.

        Args:
            description: what `describe` returned.
            file: from the name of a file of the model's folder to where it is.

        Raises:
            CheckpointError: files are missing, or of a version that is not known.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is needed to read the same again: plain JSON values."""

    def write_files(self, folder: Path) -> None:
        """Write what else `restore` reads into a model's folder."""

    @abstractmethod
    def read(
        self, outputs: NDArray[np.float32], lengths: Sequence[int], options: DecodingOptions
    ) -> Sequence[Prediction]:
        """Outputs [batch, ...] as `Head.outputs` computes them, and the number of hidden states of each row.

        Options are checked and have the defaults filled in. It changes nothing, so that several threads may read.
        """
