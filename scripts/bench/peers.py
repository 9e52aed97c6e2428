"""The other side: `transformers.Trainer`, set up as the library's CTC example does it, with its best settings.

Features are computed once in advance and kept in memory. It runs in a process of its own that never loads our
encoders, so no setting of ours slows it down.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer, TrainerCallback, TrainingArguments, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

import speechxfer as sx
from scripts.bench import peer_models
from scripts.bench.jobs import Job
from scripts.bench.machine import peak_memory_gb
from speechxfer.data.loading import read
from speechxfer.data.text import CTCVocabulary
from speechxfer.decoding.greedy import collapse
from speechxfer.evaluation.metrics import error_rates

_SAMPLE_RATE = 16_000
_HOP = 160  # samples between Whisper's mel frames
_NORMALIZER = sx.TextNormalizer("basic")
_BETAS, _WEIGHT_DECAY, _WARMUP, _CLIP_NORM = (0.9, 0.98), 0.01, 0.1, 1.0
#: Numbers of loading processes tried, and steps of each trial.
_TRIALS = {"cpu": ((0, 1, 2), 4), "cuda": ((0, 2, 4), 20)}

Example = dict[str, Any]


def train(job: Job) -> dict[str, Any]:
    """Run the job: `seconds` is the time of `Trainer.train()` and nothing else."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    manifest = sx.Manifest.read(job.train)
    vocabulary = CTCVocabulary.from_texts(_NORMALIZER(utterance.text or "") for utterance in manifest)
    started = time.perf_counter()
    extractor = _extractor(job)
    examples = [_example(job, extractor, utterance, vocabulary) for utterance in manifest]
    prepare_s = time.perf_counter() - started
    workers = _fastest_workers(job, examples, extractor, vocabulary) if job.peer_workers is None else job.peer_workers
    model = peer_models.build(job, len(vocabulary))
    trainer, clock = _trainer(job, model, examples, extractor, workers=workers)
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    # Read before anything is decoded, which is not part of training.
    outcome = {
        "seconds": round(seconds, 2),
        "epochs": job.peer_epochs,
        "epochs_s": [round(end - start, 2) for start, end in itertools.pairwise([started, *clock.epochs])],
        "steps": trainer.state.global_step,
        "prepare_s": round(prepare_s, 2),
        "workers": workers,
        "peak_memory_gb": peak_memory_gb(),
    }
    return outcome | (_score(job, model, extractor, vocabulary) if job.score_peer else {})


def _extractor(job: Job) -> Any:
    if job.row.family == "whisper":
        return WhisperFeatureExtractor()
    return Wav2Vec2FeatureExtractor.from_pretrained(job.model)


def _example(job: Job, extractor: Any, utterance: sx.Utterance, vocabulary: CTCVocabulary) -> Example:
    """What `prepare_dataset` of the library's example stores: the model's input and the labels."""
    waveform = read(utterance)
    labels = torch.tensor(vocabulary.encode(_NORMALIZER(utterance.text or "")), dtype=torch.int64)
    if job.row.family == "wav2vec2":
        values = extractor(waveform, sampling_rate=_SAMPLE_RATE).input_values[0]
        return {"input_values": torch.from_numpy(np.asarray(values)), "labels": labels}
    padding = "max_length" if job.row.peer_padded else "do_not_pad"
    features = extractor(waveform, sampling_rate=_SAMPLE_RATE, padding=padding).input_features[0]
    num_frames = (len(waveform) // _HOP + 1) // 2
    # Time first, because Trainer takes the length of what it groups by from the first axis.
    by_time = torch.from_numpy(np.ascontiguousarray(np.asarray(features).T))
    return {"input_features": by_time, "num_frames": num_frames, "labels": labels}


def _collate(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Padded to the longest of the batch, labels with the value that no loss counts."""
    labels = pad_sequence(
        [example["labels"] for example in examples], batch_first=True, padding_value=peer_models.NOT_A_LABEL
    )
    if "input_values" in examples[0]:
        values = pad_sequence([example["input_values"] for example in examples], batch_first=True)
        return {"input_values": values, "labels": labels}
    features = pad_sequence([example["input_features"] for example in examples], batch_first=True).transpose(1, 2)
    num_frames = torch.tensor([example["num_frames"] for example in examples])
    return {"input_features": features, "num_frames": num_frames, "labels": labels}


class _Clock(TrainerCallback):  # type: ignore[misc]
    """When the first step and each epoch were over."""

    def __init__(self) -> None:
        self.first_step = 0.0
        self.epochs: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.first_step = self.first_step or time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.epochs.append(time.perf_counter())


def _trainer(
    job: Job, model: Any, examples: list[Example], extractor: Any, *, workers: int, max_steps: int = -1
) -> tuple[Any, _Clock]:
    on_gpu = torch.device(job.device).type == "cuda"
    arguments = TrainingArguments(
        output_dir=str(Path(job.output) / "trainer"),
        num_train_epochs=job.peer_epochs, max_steps=max_steps, per_device_train_batch_size=job.peer_batch,
        train_sampling_strategy="random" if job.row.peer_padded else "group_by_length",
        lr_scheduler_type="linear", warmup_steps=_WARMUP, max_grad_norm=_CLIP_NORM,
        bf16=on_gpu, use_cpu=not on_gpu, seed=job.seed,
        dataloader_num_workers=workers, dataloader_persistent_workers=workers > 0, dataloader_pin_memory=on_gpu,
        eval_strategy="no", save_strategy="no", logging_strategy="no", logging_nan_inf_filter=False,
        report_to=[], disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    clock = _Clock()
    trainer = Trainer(
        model, arguments, data_collator=_collate, train_dataset=cast(Any, examples), processing_class=extractor,
        optimizers=(_optimizer(job, model), None), callbacks=[clock],
    )  # fmt: skip
    return trainer, clock


def _optimizer(job: Job, model: nn.Module) -> torch.optim.Optimizer:
    """The same as ours: encoder and head at their own rates, matrices with decay, vectors without."""
    groups = []
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    for in_head, matrix in itertools.product((False, True), repeat=2):
        chosen = [
            parameter
            for name, parameter in trained
            if name.startswith(("head.", "lm_head.")) == in_head and (parameter.ndim > 1) == matrix
        ]
        rate = job.row.head_lr if in_head else job.row.encoder_lr
        if chosen:
            groups.append({"params": chosen, "lr": rate, "weight_decay": _WEIGHT_DECAY if matrix else 0.0})
    return torch.optim.AdamW(groups, betas=_BETAS, fused=True)


def _fastest_workers(job: Job, examples: list[Example], extractor: Any, vocabulary: CTCVocabulary) -> int:
    on_gpu = torch.device(job.device).type == "cuda"
    counts, steps = _TRIALS["cuda" if on_gpu else "cpu"]
    times = {}
    for workers in (counts[0], *counts):  # the first warms up and is overwritten
        model = peer_models.build(job, len(vocabulary))
        trainer, clock = _trainer(job, model, examples, extractor, workers=workers, max_steps=steps)
        trainer.train()
        times[workers] = time.perf_counter() - clock.first_step
        del model, trainer
        gc.collect()  # trainers and their models hold one another
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    return min(times, key=times.__getitem__)


@torch.inference_mode()
def _score(job: Job, model: Any, extractor: Any, vocabulary: CTCVocabulary) -> dict[str, float]:
    """Error rates on dev: one utterance at a time, greedily, with our decoding, normaliser and counting."""
    model.eval()
    hypotheses, references = [], []
    for utterance in sx.Manifest.read(job.dev):
        example = _example(job, extractor, utterance, vocabulary)
        batch = {name: value.to(job.device) for name, value in _collate([example]).items() if name != "labels"}
        logits = model(**batch)["logits"][0, : example.get("num_frames")]
        best, path = logits.float().log_softmax(-1).max(-1)
        symbols = collapse(path.tolist(), best.tolist(), CTCVocabulary.BLANK)
        hypotheses.append(" ".join(vocabulary.decode(symbol.number for symbol in symbols).split()))
        references.append(utterance.text or "")
    rates = error_rates(references, hypotheses, _NORMALIZER)
    return {"wer": round(rates.wer, 4), "cer": round(rates.cer, 4)}
