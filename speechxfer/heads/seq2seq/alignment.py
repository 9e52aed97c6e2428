"""When the tokens that a decoder wrote were said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from speechxfer.decoding import attention_alignment
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.search import TokenSequence
from speechxfer.decoding.word_times import words_of_tokens

if TYPE_CHECKING:
    from speechxfer.heads.seq2seq.head import Seq2SeqHead


#: Hidden states [batch, frames, width], how many each has [batch], and which are attended to [batch, 1, 1, frames].
States = tuple[Tensor, Tensor, Tensor | None]


def with_words(
    head: Seq2SeqHead, found: Sequence[Hypothesis], written: Sequence[TokenSequence], prompts: Tensor, states: States
) -> list[Hypothesis]:
    """Hypotheses with their words.

    Args:
        head: the decoder.
        found: what was read from `written`.
        written: tokens.
        prompts: what was given before them [batch, count].
        states: what was decoded.
    """
    times = token_times(head, prompts, [one.tokens for one in written], states)
    return [
        replace(one, words=words_of_tokens(one.text, head.tokens.ends(row.tokens), seconds, row.log_probabilities))
        for one, row, seconds in zip(found, written, times, strict=True)
    ]


def alignment_heads(head: Seq2SeqHead) -> list[tuple[int, int]]:
    """Layer and head of the cross-attentions that follow what is said: those that the configuration names, or else all
    of the upper half of the layers.
    """
    layers = len(head.layer_groups()) - 1
    named = [(layer, one) for layer, one in getattr(head.config, "alignment_heads", None) or () if layer < layers]
    module = head.cross_attention(0)
    heads = range(module.q_proj.out_features // module.head_dim)
    return named or [(layer, one) for layer in range(layers // 2, layers) for one in heads]


def token_times(
    head: Seq2SeqHead, prompts: Tensor, written: Sequence[Sequence[int]], states: States
) -> list[list[float]]:
    """When each token of each utterance begins, in seconds, and when the last one ends."""
    hidden_states, num_frames, mask = states
    rows = [torch.tensor([*prompt, *tokens]) for prompt, tokens in zip(prompts.tolist(), written, strict=True)]
    inputs = pad_sequence(rows, batch_first=True, padding_value=head.tokens.end).to(hidden_states.device)
    # What stands before a token attends to what it is made of; so does the last token for the end.
    first = prompts.shape[1] - 1
    attention = torch.zeros((), device=hidden_states.device)
    chosen = alignment_heads(head)
    for layer, asked in enumerate(head.asked(inputs, hidden_states, mask)):
        if heads := [number for place, number in chosen if place == layer]:
            attention = attention + _attention(head.cross_attention(layer), asked, hidden_states, mask, heads)
    sizes = zip(attention.float().cpu().numpy(), map(len, rows), num_frames.tolist(), strict=True)
    return [attention_alignment.token_times(own[first:size, :frames], head.frame_rate) for own, size, frames in sizes]


def _attention(module: Any, asked: Tensor, hidden_states: Tensor, mask: Tensor | None, heads: Sequence[int]) -> Tensor:
    """What some heads of a cross-attention attend to, together [batch, tokens, frames]."""
    width = module.head_dim
    queries, keys = (
        projection(states).unflatten(-1, (-1, width))[:, :, list(heads)].float()
        for projection, states in ((module.q_proj, asked), (module.k_proj, hidden_states))
    )
    scores = torch.einsum("bthd,bfhd->bhtf", queries, keys) * width**-0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return cast(Tensor, scores.softmax(dim=-1).sum(dim=1))
