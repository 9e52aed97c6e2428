"""The whole job: from a pre-trained checkpoint and manifests to a run folder with an adapted model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest
from speechxfer.data.nothing import with_nothing
from speechxfer.data.preflight import Limits, say_errors
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.encoders.checkpoints import Checkpoint, find
from speechxfer.evaluation.evaluate import evaluate, predict_all
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.model import SpeechModel, choose_device
from speechxfer.progress import Progress
from speechxfer.storage import write_json
from speechxfer.training import run_folder
from speechxfer.training.checkpoint import Position
from speechxfer.training.distributed import World
from speechxfer.training.feeding import Examples
from speechxfer.training.fit import Task, fit
from speechxfer.training.preparation import Preparation
from speechxfer.training.starting_point import starting_point
from speechxfer.training.suitability import check
from speechxfer.transfer.plan import TransferPlan


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, the adapted model, and the test split before and after, where there is one."""

    folder: Path
    model: SpeechModel
    before: Evaluation | None
    after: Evaluation | None
    #: Whether this process is the one that speaks, where there are several.
    is_main: bool = True


def finetune(
    config: FinetuneConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None
) -> Run:
    """Adapt a pre-trained encoder to the training manifest and measure it on the test manifest.

    Writes `config.toml`, `metrics.jsonl`, `checkpoints/`, `model/` and `metrics.json` to `config.output`. With
    `resume` it goes on with the run that is there, or begins it where there is none. Started by `torchrun` or
    `accelerate launch`, several processes share the work of one run.

    Raises:
        ConfigError: settings that do not fit, or an output folder that holds another run.
        DataError: unusable manifests, texts or audio.
        CheckpointError: the pre-trained model cannot be found or read.
        StorageError: the disk is full; what was written before stays good.
        TrainingError: the loss is not a number any more.
    """
    world = World.join(config.device)
    # Only one process speaks and writes.
    progress = progress if progress and world.is_main else Progress()
    folder = Path(config.output)
    run_folder.claim(folder, config, resume=resume, overwrite=overwrite)
    checkpoint = find(config.model)
    manifests = {name: _open(path) for name, path in _splits(config).items()}
    if 0 < config.training.dev_utterances < len(manifests["dev"]):
        manifests["dev"] = manifests["dev"][:: len(manifests["dev"]) // config.training.dev_utterances]
    if world.is_main and not resume:
        # Too few frames for a text are told below, by the encoder's own count.
        say_errors(manifests, Limits(normalizer=config.text.normalizer, frame_rate=None), progress)
    start = starting_point(config, checkpoint, manifests["train"], progress)
    model, plan = start.model, start.plan
    device = choose_device(config.device)
    check(model, manifests, ignore_unknown=config.text.ignore_unknown, progress=progress)
    plan.apply(model, 0)
    _show_plan(plan, model, progress)
    world.barrier()
    if world.is_main:
        (run_folder.clear if overwrite else run_folder.mend)(folder)
        run_folder.write_config(folder, config)
        _train_manifest(config, manifests["train"])  # writes what the others only read
    world.barrier()
    manifests["train"] = _train_manifest(config, manifests["train"])
    before = None
    if world.is_main and start.transcribes:
        before = _zero_shot(config, checkpoint, manifests.get("test"), progress)
    preparation = Preparation(model.to(device).encoder, config.training, _precision(config, device), world, progress)
    position = fit(_task(config, model, plan, manifests, preparation), preparation, resume=resume)
    world.barrier()
    best = SpeechModel.load(str(folder / "model"), device=config.device)
    after = None
    if world.is_main:
        normalizer = TextNormalizer(config.text.scored_by or config.text.normalizer)
        after = evaluate(best, manifests["test"], normalizer, progress=progress) if "test" in manifests else None
        write_json(folder / "metrics.json", _metrics(position, preparation, before, after))
    world.leave()
    return Run(folder, best, before, after, world.is_main)


def _train_manifest(config: FinetuneConfig, train: Manifest) -> Manifest:
    """With sound without speech, for a decoder that would write something to anything."""
    if config.head != "seq2seq":
        return train
    return with_nothing(train, config.seq2seq.nothing_share, Path(config.output) / "nothing", config.training.seed)


def _metrics(
    position: Position, preparation: Preparation, before: Evaluation | None, after: Evaluation | None
) -> dict[str, Any]:
    seconds = {"prefix": preparation.seconds.get("train", 0.0), "training": position.training_s, "dev": position.dev_s}
    metrics: dict[str, Any] = {"dev": position.best_scores}
    metrics |= {"best_epoch": position.best_epoch, "epochs": position.epoch, "steps": position.step}
    metrics["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    return metrics | {name: item.to_dict() for name, item in (("before", before), ("after", after)) if item}


def _task(
    config: FinetuneConfig,
    model: SpeechModel,
    plan: TransferPlan,
    manifests: dict[str, Manifest],
    preparation: Preparation,
) -> Task:
    """Everything the loop needs, with what is frozen computed."""
    train, dev = (
        Examples(
            preparation.inputs(manifests[name], plan.lowest_seam, name, speed_copies=copies),
            manifests[name],
            [model.head.targets(utterance) for utterance in manifests[name]],
        )
        for name, copies in (("train", config.training.speed_copies), ("dev", 0))
    )
    data = run_folder.data_digest([manifests["train"], manifests["dev"]])
    normalizer = TextNormalizer(config.text.scored_by or config.text.normalizer)
    folder = Path(config.output)
    return Task(model, plan, train, dev, config.training, config.augment, normalizer, folder, data)


def _precision(config: FinetuneConfig, device: torch.device) -> torch.dtype:
    wanted = config.training.precision
    if wanted == "auto":
        wanted = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def _splits(config: FinetuneConfig) -> dict[str, str]:
    splits = {"train": config.train, "dev": config.dev, "test": config.test}
    return {name: path for name, path in splits.items() if path is not None}


def _open(path: str) -> Manifest:
    manifest = Manifest.read(path)
    manifest.check_files()
    return manifest


def _show_plan(plan: TransferPlan, model: SpeechModel, progress: Progress) -> None:
    total = sum(parameter.numel() for parameter in model.parameters())
    title = f"{plan.num_trained(model):,} of {total:,} parameters are trained"
    progress.table(title, ("part", "", "rate", "parameters"), plan.rows(model.encoder, model.head))


def _zero_shot(
    config: FinetuneConfig, checkpoint: Checkpoint, test: Manifest | None, progress: Progress
) -> Evaluation | None:
    """What the untouched model writes for the test split; found again when a run is resumed."""
    if test is None:
        return None
    path, normalizer = (
        Path(config.output) / "before.json",
        TextNormalizer(config.text.scored_by or config.text.normalizer),
    )
    data = run_folder.data_digest([test])
    known = json.loads(path.read_text()) if path.is_file() else {}
    if known.get("data") == data:
        return compare(test, [Hypothesis(text) for text in known["hypotheses"]], normalizer)
    progress.say(f"before: {checkpoint.name} as it is")
    predictions = predict_all(SpeechModel.load(config.model, device=config.device), test, progress=progress)
    texts = [item.text for item in predictions if isinstance(item, Hypothesis)]
    write_json(path, {"data": data, "hypotheses": texts})
    before = compare(test, predictions, normalizer)
    progress.say(f"before: {before}")
    return before
