"""`speechxfer compare`: whether one model is better than another, or only luckier."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.argument("manifest")
@click.option("--normalizer", default="basic", show_default=True, help="Applied to all texts: basic, none, whisper-english, whisper-basic.")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="Spoken language, for a multilingual Whisper or an MMS model.")
@click.option("--differing", default=10, show_default=True, help="Number of utterances to show, of those that differ most.")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON here instead of printing it.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def compare(
    *,
    first: str,
    second: str,
    manifest: str,
    normalizer: str,
    language: str | None,
    differing: int,
    output: Path | None,
    device: str,
) -> None:
    """Test whether B is significantly better than A on MANIFEST.

    A and B are models, or files that `speechxfer evaluate --predictions` wrote for the same manifest. Both answer the
    same utterances, so their errors are compared pair by pair: by a bootstrap over utterances, or over speakers where
    the manifest names at least five, and by the matched-pairs test of NIST.
    """
    import speechxfer as sx
    from speechxfer.storage import write_json

    progress = sx.TerminalProgress()
    options = sx.DecodingOptions(language=language)
    found = sx.compare(first, second, manifest, normalizer, options=options, device=device, progress=progress)
    columns = ("A", "B", "reference", f"A: {first}", f"B: {second}")
    progress.table("utterances that made the difference", columns, found.rows(differing))
    progress.log(found.summary())
    progress.log(found.verdict())
    values = found.to_dict(None if output else differing)
    if output:
        write_json(output, values)
    else:
        click.echo(json.dumps(values, ensure_ascii=False, indent=2))
