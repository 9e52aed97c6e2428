"""`speechxfer finetune`: options on top of a configuration file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from speechxfer.cli.engine_options import Cluster, engine_options
from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import MODEL, PATH
from speechxfer.cli.plan_options import PLAN_GROUP, PLAN_SETTINGS, plan_options
from speechxfer.config import TRACKERS, checked, flat, merge, parse_assignment, parse_setting

#: Option -> the setting it stands for.
_SETTINGS = {
    "model": "model", "train": "train", "dev": "dev", "test": "test", "output": "output", "device": "device",
    "epochs": "training.epochs", "time": "training.time", "batch_seconds": "training.batch_seconds",
    "patience": "training.patience",
    "speed_copies": "training.speed_copies", "ema_epochs": "training.ema_epochs", "seed": "training.seed",
    "cache": "training.cache", "cache_dir": "training.cache_dir", "guard": "training.guard",
    "frame_stride": "pooling.stride",
    "head": "head", "language": "language", "lm": "language_model", "vocabulary": "ctc.vocabulary",
    "units": "ctc.units", "vocabulary_size": "ctc.vocabulary_size",
    "pad_to_30s": "whisper.pad_to_30s", "normalizer": "text.normalizer", "ignore_unknown": "ctc.ignore_unknown",
    "unlabeled": "unlabeled", "retain": "retain", "retain_language": "retention.language", "replay": "retention.replay",
    "replay_ratio": "retention.replay_ratio", "compare_scratch": "compare_scratch", "track": "training.trackers",
    "strict": "strict",
    **PLAN_SETTINGS,
}  # fmt: skip

#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("model", "train", "dev", "test", "output", "head", "plan", "epochs", "time", "resume"),
    **PLAN_GROUP,
    "Training": (
        "batch_seconds", "patience", "speed_copies", "ema_epochs", "frame_stride", "pad_to_30s", "guard", "seed",
        "compare_scratch",
    ),
    "Text": ("language", "lm", "normalizer", "vocabulary", "units", "vocabulary_size", "ignore_unknown"),
    "Recordings without text": ("unlabeled",),
    "What the model should not forget": ("retain", "retain_language", "replay", "replay_ratio"),
    "Machine": ("device", "cache", "cache_dir", "engine", "address", "actors", "track"),
    "Settings and files": ("config_file", "assignments", "overwrite", "strict"),
}  # fmt: skip


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.option("--config", "config_file", type=PATH, help="TOML file with settings, for instance a run's config.toml.")  # fmt: skip  # noqa: E501
@click.option("--model", type=MODEL, help="Pre-trained model: a folder, an installed package, or a hub id.")
@click.option("--train", help="Manifest to learn from (.jsonl, .csv, .tsv).")
@click.option("--dev", help="Manifest that decides which epoch is best.")
@click.option("--test", help="Manifest measured before and after.")
@click.option("--unlabeled", metavar="MANIFEST", help="Recordings without text or label: a first model predicts theirs, and those it is certain of are used in training.")  # fmt: skip  # noqa: E501
@click.option("--retain", metavar="MANIFEST", help="Manifest of the source domain, evaluated before training, after every epoch and at the end, to measure forgetting.")  # fmt: skip  # noqa: E501
@click.option("--retain-language", metavar="LL", help="Spoken language of --retain, for the decoder of a multilingual Whisper.")  # fmt: skip  # noqa: E501
@click.option("--replay", metavar="MANIFEST", help="Training data of the source domain, mixed into the training set so that it is not forgotten.")  # fmt: skip  # noqa: E501
@click.option("--replay-ratio", type=float, metavar="RATIO", help="Fraction of the training set that comes from --replay (default: 0.2).")  # fmt: skip  # noqa: E501
@click.option("--output", help="Folder for the run.")
@click.option("--head", metavar="NAME", help="Head: ctc (the default), classification, seq2seq (the model's own decoder), or one of another package.")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="Spoken language, for the decoder of a multilingual Whisper, or the adapters of an MMS model.")  # fmt: skip  # noqa: E501
@click.option("--lm", metavar="auto|FILE|none", help="Language model for a CTC head: of the training text (auto), of that and a text file, an ARPA file, or none (default: auto).")  # fmt: skip  # noqa: E501
@click.option("--extend-vocabulary", "vocabulary", flag_value="extend", help="Add the training text's new characters to the model's own CTC head.")  # fmt: skip  # noqa: E501
@click.option("--new-vocabulary", "vocabulary", flag_value="new", help="Train a new CTC head even if the model has one.")  # fmt: skip  # noqa: E501
@click.option("--units", type=click.Choice(["auto", "characters", "pieces"]), help="What a new CTC head writes: characters, pieces of words, or what fits the frames (default: auto).")  # fmt: skip  # noqa: E501
@click.option("--vocabulary-size", type=int, metavar="N", help="Number of pieces of words of a new CTC head (default: as few as fit the frames).")  # fmt: skip  # noqa: E501
@plan_options
@click.option("--epochs", type=int, help="Passes over the training set (default: 20; with a classification head fewer where there are more than 400 utterances).")  # fmt: skip  # noqa: E501
@click.option("--time", metavar="TIME", help="Time for the whole job, such as 30m: as many steps as fit, instead of --epochs.")  # fmt: skip  # noqa: E501
@click.option("--batch-seconds", type=float, help="Seconds of audio in one step.")
@click.option("--patience", type=int, metavar="EPOCHS", help="Stop after this many epochs without a lower dev error (0: never).")  # fmt: skip  # noqa: E501
@click.option("--speed-copies", type=int, help="Copies of the training audio at other speeds (0 to 4).")
@click.option("--ema-epochs", type=float, metavar="EPOCHS", help="Evaluate and save a moving average of the weights over about this many epochs (0: none).")  # fmt: skip  # noqa: E501
@click.option("--frame-stride", type=int, metavar="N", help="Pool N frames into one below the trained layers: faster, and coarser.")  # fmt: skip  # noqa: E501
@click.option("--cache", type=click.Choice(["auto", "memory", "disk", "off"]), help="Where the frozen layers' output is kept (default: auto).")  # fmt: skip  # noqa: E501
@click.option("--cache-dir", help="Folder for --cache disk (default: $SPEECHXFER_CACHE, or ~/.cache/speechxfer).")
@engine_options("the frozen layers and labels for --unlabeled")
@click.option("--guard", type=click.Choice(["off", "warn", "rollback"]), help="Reaction to a run that diverges (default: warn).")  # fmt: skip  # noqa: E501
@click.option("--compare-scratch", is_flag=True, default=None, help="Also train the same architecture from random weights, to see whether transfer helped.")  # fmt: skip  # noqa: E501
@click.option("--track", type=click.Choice(TRACKERS), multiple=True, help="Experiment tracker besides TensorBoard; may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--strict", is_flag=True, default=None, help="Stop at an audio file that is a little shorter than it should be, rather than warn and use it.")  # fmt: skip  # noqa: E501
@click.option("--seed", type=int, help="Seed of all random numbers (default: 1).")
@click.option("--pad-to-30s", is_flag=True, default=None, help="Pad every utterance to 30 s, as in Whisper's pre-training.")  # fmt: skip  # noqa: E501
@click.option("--normalizer", help="Normalizer of training transcripts (default: that of the model's own CTC head, if it is kept; or basic).")  # fmt: skip  # noqa: E501
@click.option("--ignore-unknown", is_flag=True, default=None, help="Accept characters in dev and test that the training text lacks; they count as errors.")  # fmt: skip  # noqa: E501
@click.option("--device", help="auto, cpu, cuda or cuda:N.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting, for instance augment.mask_time_prob=0.1.")  # fmt: skip  # noqa: E501
@click.option("--resume", is_flag=True, help="Continue the run in --output, or start it if there is none.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def finetune(
    config_file: Path | None,
    plan: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    overwrite: bool,
    cluster: Cluster | None,
    **options: Any,
) -> None:
    """Adapt a pre-trained encoder to your audio, and measure it before and after.

    With --plan auto, what fits is found by trials: for five minutes, or a seventh of --time (see speechxfer plan).
    """
    given = [
        checked(parse_assignment(f"{_SETTINGS[name]}={_toml(value)}"), f"--{name.replace('_', '-')}")
        for name, value in options.items()
        if value not in (None, ())
    ]
    given += map(parse_setting, assignments)
    import speechxfer as sx

    # The run's own device may be any; workers have GPUs unless it is a CPU.
    engine = cluster.engine("cpu" if options["device"] == "cpu" else "auto") if cluster else None
    try:
        sx.finetune(
            config=config_file, plan=plan, resume=resume, overwrite=overwrite, progress=sx.TerminalProgress(),
            engine=engine, **flat(merge(given)),
        )  # fmt: skip
    except KeyboardInterrupt:
        sys.exit(130)


def _toml(value: object) -> str:
    """A value as TOML writes it; strings literally, whatever they hold."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
