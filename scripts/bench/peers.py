"""The other side: `transformers.Trainer`, set up as the library's examples do it, with its best settings.

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
from transformers import (
    AutoFeatureExtractor,
    AutoTokenizer,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

import speechxfer as sx
from scripts.bench import peer_models
from scripts.bench.jobs import SCORED_BY, Job
from scripts.bench.machine import peak_memory_gb
from speechxfer.data.loading import read
from speechxfer.data.vocabulary import Characters, Pieces, Vocabulary
from speechxfer.decoding.greedy import collapse
from speechxfer.evaluation.metrics import error_rates

_SAMPLE_RATE = 16_000
_HOP = 160  # samples between Whisper's mel frames
_NORMALIZER = sx.TextNormalizer("basic")
_BETAS, _WEIGHT_DECAY, _WARMUP, _CLIP_NORM = (0.9, 0.98), 0.01, 0.1, 1.0
#: Numbers of loading processes tried, and steps of each trial.
_TRIALS = {"cpu": ((0, 1, 2), 4), "cuda": ((0, 2, 4), 20)}

Example = dict[str, Any]


class CTCPeer:
    """A linear head over characters or pieces of words, as `run_speech_recognition_ctc.py` trains it."""

    trainer = Trainer
    arguments = TrainingArguments

    def __init__(self, job: Job) -> None:
        self.job = job
        texts = (_NORMALIZER(utterance.text or "") for utterance in sx.Manifest.read(job.train))
        pieces = job.row.pieces
        self.vocabulary: Vocabulary = Pieces.trained(texts, pieces) if pieces else Characters.from_texts(texts)
        is_whisper = job.row.family == "whisper"
        self.extractor: Any = WhisperFeatureExtractor() if is_whisper else AutoFeatureExtractor.from_pretrained(job.model)  # fmt: skip  # noqa: E501

    def build(self) -> Any:
        """The model on its device, with what the job freezes frozen."""
        return peer_models.build(self.job, len(self.vocabulary))

    def example(self, utterance: sx.Utterance) -> Example:
        """What `prepare_dataset` of the library's example stores: the model's input and the labels."""
        waveform = read(utterance)
        labels = torch.tensor(self.vocabulary.encode(_NORMALIZER(utterance.text or "")), dtype=torch.int64)
        if self.job.row.family == "wav2vec2":
            values = self.extractor(waveform, sampling_rate=_SAMPLE_RATE).input_values[0]
            return {"input_values": torch.from_numpy(np.asarray(values)), "labels": labels}
        if self.job.row.family == "fastconformer":
            found = self.extractor(waveform, sampling_rate=_SAMPLE_RATE, return_tensors="pt")
            return {"input_features": found.input_features[0][found.attention_mask[0].bool()], "labels": labels}
        padding = "max_length" if self.job.row.peer_padded else "do_not_pad"
        features = self.extractor(waveform, sampling_rate=_SAMPLE_RATE, padding=padding).input_features[0]
        num_frames = (len(waveform) // _HOP + 1) // 2
        # Time first, because Trainer takes the length of what it groups by from the first axis.
        by_time = torch.from_numpy(np.ascontiguousarray(np.asarray(features).T))
        return {"input_features": by_time, "num_frames": num_frames, "labels": labels}

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Padded to the longest of the batch, labels with the value that no loss counts."""
        labels = pad_sequence(
            [example["labels"] for example in examples], batch_first=True, padding_value=peer_models.NOT_A_LABEL
        )
        if "input_values" in examples[0]:
            values = pad_sequence([example["input_values"] for example in examples], batch_first=True)
            return {"input_values": values, "labels": labels}
        features = pad_sequence([item["input_features"] for item in examples], batch_first=True)
        if self.job.row.family == "fastconformer":
            steps = torch.tensor([len(example["input_features"]) for example in examples])
            mask = torch.arange(features.shape[1]) < steps[:, None]
            return {"input_features": features, "attention_mask": mask, "labels": labels}
        features = features.transpose(1, 2)
        num_frames = torch.tensor([example["num_frames"] for example in examples])
        return {"input_features": features, "num_frames": num_frames, "labels": labels}

    def write(self, model: Any, example: Example) -> str:
        """What the model writes for an utterance: greedy, with our decoding."""
        batch = {name: value.to(self.job.device) for name, value in self.collate([example]).items() if name != "labels"}
        logits = model(**batch)["logits"][0, : example.get("num_frames")]
        best, path = logits.float().log_softmax(-1).max(-1)
        symbols = collapse(path.tolist(), best.tolist(), Vocabulary.BLANK)
        return " ".join(self.vocabulary.decode(symbol.number for symbol in symbols).split())


class Seq2SeqPeer:
    """Whisper's own decoder on its frozen encoder, as `run_speech_recognition_seq2seq.py` trains it."""

    trainer = Seq2SeqTrainer
    arguments = Seq2SeqTrainingArguments

    def __init__(self, job: Job) -> None:
        self.job = job
        self.folder = Path(job.output) / "original"
        sx.SpeechModel.load(job.model, device="cpu").save(self.folder)
        self.extractor: Any = WhisperFeatureExtractor.from_pretrained(self.folder)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(self.folder)

    def build(self) -> Any:
        """The model on its device; all of the decoder is trained."""
        torch.manual_seed(self.job.seed)
        model = WhisperForConditionalGeneration.from_pretrained(self.folder, attn_implementation="sdpa")
        model.config.use_cache = False
        model.freeze_encoder()
        return model.to(self.job.device)

    def example(self, utterance: sx.Utterance) -> Example:
        """Features of 30 s, and the tokens with those around them but the first, which the model puts there itself."""
        features = self.extractor(read(utterance), sampling_rate=_SAMPLE_RATE).input_features[0]
        labels = self.tokenizer(_NORMALIZER(utterance.text or "")).input_ids
        begin = 1 if labels[0] == self.tokenizer.convert_tokens_to_ids("<|startoftranscript|>") else 0
        return {"input_features": torch.from_numpy(np.asarray(features)), "labels": torch.tensor(labels[begin:])}

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Features as they are, labels padded with the value that no loss counts."""
        labels = [example["labels"] for example in examples]
        return {
            "input_features": torch.stack([example["input_features"] for example in examples]),
            "labels": pad_sequence(labels, batch_first=True, padding_value=peer_models.NOT_A_LABEL),
        }

    def write(self, model: Any, example: Example) -> str:
        """What `generate` writes for an utterance, greedily."""
        model.config.use_cache = True
        tokens = model.generate(example["input_features"][None].to(self.job.device))
        return str(self.tokenizer.decode(tokens[0], skip_special_tokens=True))


Peer = CTCPeer | Seq2SeqPeer


def train(job: Job) -> dict[str, Any]:
    """Run the job: `seconds` is the time of `Trainer.train()` and nothing else."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    peer = Seq2SeqPeer(job) if job.row.head == "seq2seq" else CTCPeer(job)
    started = time.perf_counter()
    examples = [peer.example(utterance) for utterance in sx.Manifest.read(job.train)]
    prepare_s = time.perf_counter() - started
    workers = _fastest_workers(peer, examples) if job.peer_workers is None else job.peer_workers
    model = peer.build()
    trainer, clock = _trainer(peer, model, examples, workers=workers)
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
    return outcome | (_score(peer, model) if job.score_peer else {})


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
    peer: Peer, model: Any, examples: list[Example], *, workers: int, max_steps: int = -1
) -> tuple[Any, _Clock]:
    job = peer.job
    on_gpu = torch.device(job.device).type == "cuda"
    arguments = peer.arguments(
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
    trainer = peer.trainer(
        model, arguments, data_collator=peer.collate, train_dataset=cast(Any, examples),
        processing_class=peer.extractor, optimizers=(_optimizer(job, model), None), callbacks=[clock],
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
            if name.startswith(("head.", "lm_head.", "ctc_head.", "model.decoder.")) == in_head
            and (parameter.ndim > 1) == matrix
        ]
        rate = job.row.head_lr if in_head else job.row.encoder_lr
        if chosen:
            groups.append({"params": chosen, "lr": rate, "weight_decay": _WEIGHT_DECAY if matrix else 0.0})
    return torch.optim.AdamW(groups, betas=_BETAS, fused=True)


def _fastest_workers(peer: Peer, examples: list[Example]) -> int:
    on_gpu = torch.device(peer.job.device).type == "cuda"
    counts, steps = _TRIALS["cuda" if on_gpu else "cpu"]
    times = {}
    for workers in (counts[0], *counts):  # the first warms up and is overwritten
        model = peer.build()
        trainer, clock = _trainer(peer, model, examples, workers=workers, max_steps=steps)
        trainer.train()
        times[workers] = time.perf_counter() - clock.first_step
        del model, trainer
        gc.collect()  # trainers and their models hold one another
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    return min(times, key=times.__getitem__)


@torch.inference_mode()
def _score(peer: Peer, model: Any) -> dict[str, float]:
    """Error rates on dev: one utterance at a time, with our normalizer and counting."""
    model.eval()
    manifest = sx.Manifest.read(peer.job.dev)
    hypotheses = [peer.write(model, peer.example(utterance)) for utterance in manifest]
    normalizer = sx.TextNormalizer(SCORED_BY[peer.job.row.head])
    rates = error_rates([utterance.text or "" for utterance in manifest], hypotheses, normalizer)
    return {"wer": round(rates.wer, 4), "cer": round(rates.cer, 4)}
