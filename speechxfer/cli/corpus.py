"""Options of `transcribe` for manifests and archives: rows in, shards out, here or on Ray."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speechxfer.cli.engine_options import Cluster, engine_options
from speechxfer.cli.paths import PATH
from speechxfer.config.paths import located_model
from speechxfer.data.rows import SUFFIXES
from speechxfer.errors import DataError
from speechxfer.extras import need

if TYPE_CHECKING:
    from speechxfer.decoding.options import DecodingOptions
    from speechxfer.jobs.running import Totals

SHARD_FORMATS = ("jsonl", "parquet")
"""What `--format` may be with `--output`."""
_MOST_SHOWN = 5
_INTERRUPTED = 130  # as shells count Ctrl-C


@dataclass(frozen=True)
class Corpus:
    """Where rows are computed, and where their results go.

    Attributes:
        folder: of the shards.
        cluster: where rows are computed; None for this process.
        retry_failed: rows that have an error from before are computed again.
    """

    folder: Path
    cluster: Cluster | None
    retry_failed: bool = False

    def check(self, format_: str | None, *, is_for_files: bool) -> None:
        """Refuse options that are for single files only."""
        if is_for_files:
            raise click.UsageError("--output takes rows of manifests, whose columns name streams and channels; leave out the options for single files.")  # fmt: skip  # noqa: E501
        if format_ not in (None, *SHARD_FORMATS):
            raise click.UsageError(f"--output writes --format {' or '.join(SHARD_FORMATS)}, and not {format_}.")

    def transcribe(
        self, names: Sequence[str], format_: str | None, *, model: str, device: str, decoding: DecodingOptions,
        vad: str, workers: int | None, strict: bool,
    ) -> None:  # fmt: skip
        """Transcribe what is missing in the folder; exits with 1 if there are errors."""
        from speechxfer.cli.corpus_progress import CorpusProgress
        from speechxfer.jobs.running import Here, run
        from speechxfer.jobs.work import Transcription

        format_ = format_ or SHARD_FORMATS[0]
        if format_ == "parquet":
            need("pyarrow", "--format parquet")
        engine = self.cluster.engine(device, workers) if self.cluster else Here()
        # Workers have working folders of their own.
        work = Transcription(located_model(model), device, decoding, vad, workers)
        refused: list[DataError] = []
        with CorpusProgress(names) as progress:
            try:
                totals = run(
                    work, names, self.folder, format_, engine, strict=strict, retry_failed=self.retry_failed,
                    refused=refused.append, progress=progress,
                )  # fmt: skip
            except KeyboardInterrupt:
                click.echo(f"Interrupted; what is done is in {self.folder}, and the same command does the rest", err=True)  # fmt: skip  # noqa: E501
                sys.exit(_INTERRUPTED)
        self._report(totals, refused)

    def _report(self, totals: Totals, refused: Sequence[DataError]) -> None:
        click.echo(f"{totals.summary()}; the results are in {self.folder}", err=True)
        for error in refused[:_MOST_SHOWN]:
            click.echo(f"Error: {error}", err=True)
        if len(refused) > _MOST_SHOWN:
            click.echo(f"and {len(refused) - _MOST_SHOWN} more lines that cannot be used", err=True)
        if totals.failed or refused:
            sys.exit(1)


def corpus_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --output and what belongs to it; the command is given `corpus`, which is None without --output."""

    @click.option("--output", type=PATH, metavar="FOLDER", help="Write one row for each line of the manifests to shards in this folder (--format jsonl or parquet), and do only what is missing there.")  # fmt: skip  # noqa: E501
    @click.option("--retry-failed", is_flag=True, help="Compute also the rows of --output that have an error from before.")  # fmt: skip  # noqa: E501
    @engine_options("recordings")
    @functools.wraps(command)
    def called(*, output: Path | None, retry_failed: bool, cluster: Cluster | None, **others: Any) -> Any:
        if output is None and retry_failed:
            raise click.UsageError("--retry-failed is for the rows of a folder; add --output FOLDER.")
        if output is None and cluster:
            raise click.UsageError("--engine ray writes shards; add --output FOLDER.")
        corpus = None if output is None else Corpus(output, cluster, retry_failed)
        return command(corpus=corpus, **others)

    return called


def check_files(names: Sequence[str], format_: str) -> None:
    """Refuse what is for --output only."""
    if format_ in SHARD_FORMATS:
        raise click.UsageError(f"--format {format_} is for shards; add --output FOLDER.")
    for name in names:
        if Path(name).suffix.lower() in SUFFIXES:
            raise click.UsageError(f"{name} is a manifest; add --output FOLDER to transcribe its lines.")
