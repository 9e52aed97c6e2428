"""What the small model is asked to do: three ways to learn from speech, one interface.

An objective is a module that owns the parameters it needs beside the student's and throws them away in the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Wav2Vec2Model

from scripts.pretrain_nano.student import convolved, entering, states
from scripts.pretrain_nano.targets import Lesson


class Objective(nn.Module, ABC):
    """Turns a batch into a loss."""

    @abstractmethod
    def forward(
        self, model: Wav2Vec2Model, waveforms: Tensor, taught: Tensor, chance: torch.Generator
    ) -> dict[str, Tensor]:
        """Waveforms [batch, samples], standardized teacher frames [batch, frames, taps, width] -> losses by name.

        "loss" is what is minimized, a mean over frames; the others are to be looked at.
        """


class Distillation(Objective):
    """Every layer of the teacher is predicted from the layer of the student that stands as high.

    Losses as in DistilHuBERT (Chang et al., 2022): the mean distance plus the log-sigmoid of the cosine.

    Args:
        width: of the student.
        lesson: gives the number of taps and their width.
    """

    def __init__(self, width: int, lesson: Lesson) -> None:
        super().__init__()
        taps, taught = lesson.means.shape[1:]
        self.heads = nn.ModuleList(nn.Linear(width, taught) for _ in range(taps))

    def forward(
        self, model: Wav2Vec2Model, waveforms: Tensor, taught: Tensor, chance: torch.Generator
    ) -> dict[str, Tensor]:
        found = states(model, entering(model, convolved(model, waveforms)))
        losses: dict[str, Tensor] = {}
        total = torch.zeros(())
        for tap, head in enumerate(self.heads):
            state = head(found[round(tap * (len(found) - 1) / (len(self.heads) - 1))])
            target = taught[:, :, tap]
            distance = F.l1_loss(state, target)
            cosine = F.cosine_similarity(state, target, dim=-1)
            total = total + distance - F.logsigmoid(cosine).mean()
            losses[f"cosine_{tap}"] = cosine.mean().detach()
        return {"loss": total / len(self.heads), **losses}


class MaskedClusters(Objective):
    """HuBERT (Hsu et al., 2021) with clusters of a teacher's layer: which one is it where the input is hidden?"""

    def __init__(self, width: int, lesson: Lesson, *, tap: int = -2, clusters: int = 200) -> None:
        super().__init__()
        self.tap = tap
        self.centers: Tensor
        self.register_buffer("centers", _k_means(_sample(lesson, tap), clusters), persistent=False)
        self.head = nn.Linear(width, clusters)

    def forward(
        self, model: Wav2Vec2Model, waveforms: Tensor, taught: Tensor, chance: torch.Generator
    ) -> dict[str, Tensor]:
        wanted = torch.cdist(taught[:, :, self.tap].flatten(0, 1), self.centers).argmin(-1)
        masked = spans(taught.shape[:2], chance)
        logits = self.head(states(model, entering(model, convolved(model, waveforms), masked))[-1])[masked]
        wanted = wanted.view(taught.shape[:2])[masked]
        hits = (logits.argmax(-1) == wanted).float().mean()
        return {"loss": F.cross_entropy(logits, wanted), "accuracy": hits}


class Contrastive(Objective):
    """wav2vec 2.0 (Baevski et al., 2020): the quantised input among 50 others where it is hidden; no teacher."""

    def __init__(self, width: int, channels: int, *, groups: int = 2, entries: int = 160, others: int = 50) -> None:
        super().__init__()
        size = 128
        self.norm = nn.LayerNorm(channels)
        self.choose = nn.Linear(channels, groups * entries)
        self.entries = nn.Parameter(torch.rand(groups, entries, size // groups))
        self.project, self.project_entry = nn.Linear(width, size), nn.Linear(size, size)
        self.others = others

    def forward(
        self, model: Wav2Vec2Model, waveforms: Tensor, taught: Tensor, chance: torch.Generator
    ) -> dict[str, Tensor]:
        channels = convolved(model, waveforms)
        masked = spans(channels.shape[:2], chance)
        said = self.project(states(model, entering(model, channels, masked))[-1][masked])
        entry, diversity = self._quantised(self.norm(channels[masked]), chance)
        loss, hits = self._contrast(said, self.project_entry(entry), masked.sum(1).tolist(), chance)
        return {"loss": loss + 0.1 * diversity, "accuracy": hits, "diversity": diversity.detach()}

    def _quantised(self, features: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features [frames, channels] -> their entries [frames, size], and how far all entries are from even use."""
        logits = self.choose(features).unflatten(-1, self.entries.shape[:2])
        noise = -torch.empty_like(logits).exponential_(generator=chance).log()
        soft = ((logits + noise) / 2.0).softmax(-1)
        hard = F.one_hot(soft.argmax(-1), soft.shape[-1]) + soft - soft.detach()
        used = logits.softmax(-1).mean(0)
        perplexity = torch.exp(-(used * (used + 1e-7).log()).sum(-1)).sum()
        return torch.einsum("fge,ged->fgd", hard, self.entries).flatten(1), 1.0 - perplexity / used.numel()

    def _contrast(
        self, said: Tensor, entry: Tensor, counts: list[int], chance: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Each masked frame's entry against those of other masked frames of the same utterance."""
        rows = []
        first = 0
        for count in counts:
            other = torch.randint(max(count - 1, 1), (count, self.others), generator=chance)
            own = torch.arange(count)[:, None]
            rows.append(first + torch.cat([own, (other + (other >= own)).clamp(max=max(count - 1, 0))], dim=1))
            first += count
        near = F.cosine_similarity(said[:, None], entry[torch.cat(rows)], dim=-1) / 0.1
        wanted = torch.zeros(len(near), dtype=torch.int64)
        return F.cross_entropy(near, wanted), (near.argmax(-1) == 0).float().mean()


def spans(
    shape: tuple[int, int] | torch.Size, chance: torch.Generator, *, share: float = 0.065, size: int = 10
) -> Tensor:
    """Masked frames [batch, frames]: spans of `size` that begin anywhere with probability `share`, one at least."""
    begun = torch.rand(shape, generator=chance) < share
    begun[torch.arange(shape[0]), torch.randint(shape[1], (shape[0],), generator=chance)] = True
    reach = begun.float().cumsum(1)
    return reach - F.pad(reach, (size, 0))[:, : shape[1]] > 0


def _sample(lesson: Lesson, tap: int, size: int = 20_000) -> Tensor:
    """Standardized frames of one tap, evenly from all utterances."""
    every = max(1, len(lesson.frames) // size)
    found = [lesson.standardized(index, 0, int(lesson.places[index, 3]))[:, tap] for index in range(0, len(lesson), 8)]
    return torch.cat(found)[:: max(1, every // 8)]


def _k_means(points: Tensor, clusters: int, rounds: int = 15) -> Tensor:
    """Centers [clusters, width] by Lloyd's algorithm from evenly spaced points."""
    centers = points[:: len(points) // clusters][:clusters].clone()
    for _ in range(rounds):
        nearest = torch.cdist(points, centers).argmin(1)
        counts = torch.bincount(nearest, minlength=clusters)
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        centers = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centers)
    return centers
