"""`speechxfer cache`: what frozen layers' output is kept on disk, and how to be rid of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from speechxfer.cli.paths import PATH


@click.command()
@click.option("--cache-dir", type=PATH, help="As in finetune (default: $SPEECHXFER_CACHE, or ~/.cache/speechxfer).")  # fmt: skip  # noqa: E501
@click.option("--clear", is_flag=True, help="Remove everything; runs compute what they need again.")
def cache(cache_dir: Path | None, *, clear: bool) -> None:
    """Show the cache of hidden states on disk, a line for each model and layer index, the largest first."""
    from speechxfer.errors import ConfigError, StorageError
    from speechxfer.storage import cache_folder

    folder = (cache_dir or cache_folder()) / "frozen"
    if cache_dir is not None and not cache_dir.is_dir():
        raise ConfigError(f"--cache-dir {cache_dir}: there is no such folder; wanted one that finetune was given")
    try:
        sizes = {
            prefix: sum(file.stat().st_size for file in prefix.rglob("*") if file.is_file())
            for prefix in (folder.iterdir() if folder.is_dir() else ())
            if prefix.is_dir()
        }
    except OSError as error:
        raise StorageError(f"{folder}: cannot be read ({error.strerror})") from error
    for prefix, size in sorted(sizes.items(), key=lambda item: -item[1]):
        click.echo(f"{size / 2**20:10.1f} MB  {prefix}")
    click.echo(f"{sum(sizes.values()) / 2**20:10.1f} MB  in all")
    if clear and sizes:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StorageError(f"{folder}: could not be removed ({error.strerror})") from error
        click.echo("removed")
