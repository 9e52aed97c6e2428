"""The whole job: from a pre-trained checkpoint and manifests to a run folder with an adapted model."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from speechxfer.config import FinetuneConfig, TrainingConfig, to_dict
from speechxfer.data.loading import durations_s, texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import CTCVocabulary, TextNormalizer, frames_needed
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint, find
from speechxfer.errors import CheckpointError, ConfigError, DataError
from speechxfer.evaluation.evaluate import Evaluation, evaluate
from speechxfer.heads.ctc import CTCHead
from speechxfer.model import SpeechModel, choose_device
from speechxfer.progress import Progress
from speechxfer.storage import write_json, write_text
from speechxfer.training.fit import Examples, fit
from speechxfer.training.frozen_prefix import prepare
from speechxfer.transfer.plan import TransferPlan

CONFIG_FILE = "config.toml"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, the adapted model, and the test split before and after, where there is one."""

    folder: Path
    model: SpeechModel
    before: Evaluation | None
    after: Evaluation | None


def finetune(
    config: FinetuneConfig, *, resume: bool = False, overwrite: bool = False, progress: Progress | None = None
) -> Run:
    """Adapt a pre-trained encoder to the training manifest and measure it on the test manifest.

    Writes `config.toml`, `metrics.jsonl`, `checkpoints/`, `model/` and `metrics.json` to `config.output`.

    Raises:
        ConfigError: settings that do not fit, or an output folder that holds another run.
        DataError: unusable manifests, texts or audio.
        CheckpointError: the pre-trained model cannot be found or read.
        StorageError: the disk is full; what was written before stays good.
        TrainingError: the loss is not a number any more.
    """
    progress = progress or Progress()
    folder = Path(config.output)
    _claim(folder, config, resume=resume, overwrite=overwrite)
    checkpoint = find(config.model)
    manifests = {name: _open(path) for name, path in _splits(config).items()}
    model = _fresh_model(config, checkpoint, manifests["train"], progress)
    device = choose_device(config.device)
    _check_texts(model, manifests, ignore=config.text.ignore_unknown, progress=progress)
    plan = TransferPlan.for_encoder(config.plan, model.encoder)
    plan.apply(model)
    _show_plan(plan, model, progress)
    if overwrite:
        _clear(folder)
    write_text(folder / CONFIG_FILE, tomli_w.dumps(to_dict(config)))
    before = _zero_shot(config, checkpoint, manifests.get("test"), progress)
    model.to(device)
    normalizer = TextNormalizer(config.text.normalizer)
    train = _examples(model, plan, manifests["train"], config.training, "train", progress)
    dev = _examples(model, plan, manifests["dev"], replace(config.training, speed_copies=0), "dev", progress)
    position = fit(
        model, plan, train, dev, config.training, config.augment, folder,
        normalizer=normalizer, resume=resume, progress=progress,
    )  # fmt: skip
    best = SpeechModel.load(str(folder / "model"), device=config.device)
    after = evaluate(best, manifests["test"], normalizer, progress=progress) if "test" in manifests else None
    metrics: dict[str, Any] = {"dev": dict(zip(("wer", "cer"), position.best or (), strict=False))}
    metrics |= {"best_epoch": position.best_epoch, "epochs": position.epoch}
    metrics |= {name: item.to_dict() for name, item in (("before", before), ("after", after)) if item}
    write_json(folder / "metrics.json", metrics)
    return Run(folder, best, before, after)


def _examples(
    model: SpeechModel, plan: TransferPlan, manifest: Manifest, training: TrainingConfig, name: str, progress: Progress
) -> Examples:
    copies, seed = training.speed_copies, training.seed
    inputs = prepare(model.encoder, plan.seam, manifest, copies=copies, seed=seed, progress=progress, name=name)
    return Examples(inputs, manifest, [model.head.targets(utterance) for utterance in manifest])


def _splits(config: FinetuneConfig) -> dict[str, str]:
    splits = {"train": config.train, "dev": config.dev, "test": config.test}
    return {name: path for name, path in splits.items() if path is not None}


def _claim(folder: Path, config: FinetuneConfig, *, resume: bool, overwrite: bool) -> None:
    """Make sure that nobody's run is written over; nothing is removed yet."""
    if resume and overwrite:
        raise ConfigError("--resume goes on with a run and --overwrite throws it away; give one of them")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; wanted a folder for the run")
    if resume:
        _check_same(folder, config)
    elif folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise ConfigError(f"{folder}: holds another run; go on with --resume, replace it with --overwrite, or choose another --output")  # fmt: skip  # noqa: E501
        if not (folder / CONFIG_FILE).is_file():
            raise ConfigError(f"{folder}: is not a run (no {CONFIG_FILE}), so --overwrite leaves it alone; choose another --output")  # fmt: skip  # noqa: E501


def _clear(folder: Path) -> None:
    """Remove what the run that stood here had written, now that the new one is known to be sound."""
    for name in ("checkpoints", "model"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("metrics.jsonl", "metrics.json"):
        (folder / name).unlink(missing_ok=True)


def _check_same(folder: Path, config: FinetuneConfig) -> None:
    import tomllib

    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(f"{folder}: holds no run to resume (no {CONFIG_FILE}); leave --resume out to start one")
    old, new = _flat(tomllib.loads(path.read_text())), _flat(to_dict(config))
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key) and key != "output"]
    if differing:
        changes = ", ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing[:3])
        raise ConfigError(
            f"{path}: the run was started with other settings ({changes}); use the same ones, or --overwrite"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _open(path: str) -> Manifest:
    manifest = Manifest.read(path)
    manifest.check_files()
    return manifest


def _fresh_model(config: FinetuneConfig, checkpoint: Checkpoint, train: Manifest, progress: Progress) -> SpeechModel:
    """The pre-trained encoder under a new head that can write the training texts."""
    if checkpoint.is_ours:
        raise CheckpointError(f"{config.model}: is an adapted model already; wanted a pre-trained one")
    normalizer = TextNormalizer(config.text.normalizer)
    vocabulary = CTCVocabulary.from_texts(normalizer(text) for text in texts(train))
    source, state = checkpoint.read()
    import torch

    torch.manual_seed(config.training.seed)
    encoder = load_encoder(checkpoint.name, source, state, **asdict(config.encoder))
    head = CTCHead(encoder.width, encoder.frame_rate, vocabulary, normalizer)
    progress.say(f"{checkpoint.name}: {encoder.family} encoder, {encoder.depth} layers of width {encoder.width}")
    progress.say(f"{len(vocabulary) - 1} characters in the training text: {''.join(vocabulary.symbols)!r}")
    return SpeechModel(encoder, head, checkpoint.name)


def _check_texts(model: SpeechModel, manifests: dict[str, Manifest], *, ignore: bool, progress: Progress) -> None:
    """Characters that cannot be written, and utterances too short for their text."""
    head = model.head
    assert isinstance(head, CTCHead)
    for name, manifest in manifests.items():
        missing = {}
        for utterance, text in zip(manifest, texts(manifest), strict=True):
            if unknown := head.vocabulary.unknown(head.normalizer(text)):
                missing[utterance.origin] = "".join(unknown)
        if missing:
            line, characters = next(iter(missing.items()))
            message = (
                f"{line}: {characters!r} does not occur in the training text, so it cannot be written "
                f"({len(missing)} of {len(manifest)} utterances of {name} hold such characters)"
            )
            if not ignore:
                raise DataError(f"{message}; add training text with it, or pass --ignore-unknown to count it as wrong")
            progress.say(f"{message}; they count as wrong")
    _report_short(model.encoder, head, manifests["train"], progress)


def _report_short(encoder: Encoder, head: CTCHead, train: Manifest, progress: Progress) -> None:
    durations = durations_s(train, encoder.max_duration_s)
    short = [
        (utterance, frames, needed)
        for utterance, duration in zip(train, durations, strict=True)
        if (needed := frames_needed(head.targets(utterance)))
        > (frames := encoder.num_frames(int(duration * encoder.sample_rate)))
    ]
    if short:
        utterance, frames, needed = short[0]
        progress.say(
            f"{len(short)} of {len(train)} training utterances are too short for their text and teach nothing; the "
            f"first is {utterance.origin}: {frames} frames, but {needed} are needed to spell it. Does it belong there?"
        )


def _show_plan(plan: TransferPlan, model: SpeechModel, progress: Progress) -> None:
    total = sum(parameter.numel() for parameter in model.parameters())
    title = f"{plan.num_trained(model):,} of {total:,} parameters are trained"
    progress.table(title, ("part", "", "rate", "parameters"), plan.rows(model))


def _zero_shot(
    config: FinetuneConfig, checkpoint: Checkpoint, test: Manifest | None, progress: Progress
) -> Evaluation | None:
    """What the untouched model writes, where it can write by itself."""
    if test is None:
        return None
    model = SpeechModel.load(config.model, device=config.device)
    progress.say(f"before: {checkpoint.name} with its own decoder")
    before = evaluate(model, test, TextNormalizer(config.text.normalizer), progress=progress)
    progress.say(f"before: {before.rates}")
    return before
