"""How likely a decoder finds tokens: the next one of a batch, and those of given texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

if TYPE_CHECKING:
    from speechxfer.heads.seq2seq.head import Seq2SeqHead

#: Most tokens whose probabilities over the vocabulary are computed at once.
_SCORED_TOKENS = 2048
_NOT_SCORED = -100


class Scorer:
    """The decoder with what it remembers of a batch."""

    def __init__(
        self, head: Seq2SeqHead, hidden_states: Tensor, mask: Tensor | None,
        unwanted: list[int], unwanted_first: list[int],
    ) -> None:  # fmt: skip
        self._head, self._hidden_states, self._mask = head, hidden_states, mask
        self._unwanted, self._unwanted_first = unwanted, unwanted_first
        self._cache = head.new_cache()
        self._utterances = torch.arange(len(hidden_states), device=hidden_states.device)
        #: Probability of each row that nothing is said, known after the first call.
        self.no_speech: list[float] = []

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens [batch, count] after those before -> log-probabilities of the next one [batch, vocabulary]."""
        head, is_first = self._head, self._cache.get_seq_length() == 0
        output = head.run(tokens, self._hidden_states, self._mask, self._cache)
        if is_first:
            self.no_speech = head.no_speech(tokens, output)
        logits = head.logits(output[:, -1])
        logits[:, self._unwanted_first if is_first else self._unwanted] = -torch.inf
        return F.log_softmax(logits, dim=-1)

    def keep(self, rows: Tensor) -> None:
        """Reorder what is remembered; what is attended to only where rows are of other utterances than before."""
        before, self._utterances = self._utterances, self._utterances[rows]
        if torch.equal(before, self._utterances):
            self._cache.self_attention_cache.reorder_cache(rows)
        elif len(rows):
            self._cache.reorder_cache(rows)
            self._hidden_states = self._hidden_states[rows]
            self._mask = None if self._mask is None else self._mask[rows]


def log_probabilities(
    head: Seq2SeqHead, hidden_states: Tensor, mask: Tensor | None, prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[str]],
) -> list[list[float]]:  # fmt: skip
    """Natural logarithms of the probabilities of some texts for each utterance.

    Args:
        head: the decoder.
        hidden_states: [batch, frames, width].
        mask: which frames are attended to [batch, 1, 1, frames]; None where all are.
        prompts: tokens of the same number for each utterance.
        texts: for each utterance.
    """
    rows = [row for row, some in enumerate(texts) for _ in some]
    written = [[*head.tokens.spell(text), head.tokens.end] for some in texts for text in some]
    found: list[float] = []
    most = max(map(len, written), default=0) + len(prompts[0])
    for begin in range(0, len(rows), step := max(1, _SCORED_TOKENS // most)):
        chosen = torch.tensor(rows[begin : begin + step], device=hidden_states.device)
        targets = [
            torch.tensor([*prompts[row], *tokens])
            for row, tokens in zip(rows[begin : begin + step], written[begin : begin + step], strict=True)
        ]
        states = hidden_states[chosen], None if mask is None else mask[chosen]
        found += _of_batch(head, pad_sequence(targets, True, _NOT_SCORED), len(prompts[0]), *states)
    scores = iter(found)
    return [[next(scores) for _ in some] for some in texts]


def _of_batch(
    head: Seq2SeqHead, targets: Tensor, prompt_size: int, hidden_states: Tensor, mask: Tensor | None
) -> list[float]:
    """Of what follows the prompt in each row of tokens."""
    targets = targets.to(hidden_states.device)
    output = head.run(targets[:, :-1].clamp(min=0), hidden_states, mask, None)[:, prompt_size - 1 :]
    wanted = targets[:, prompt_size:]
    scored = wanted != _NOT_SCORED
    losses = torch.zeros(scored.shape, device=scored.device)
    losses[scored] = F.cross_entropy(head.logits(output[scored]), wanted[scored], reduction="none")
    return (-losses.sum(dim=1)).tolist()
