"""`speechxfer export`: an adapted model for another runtime."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--to", metavar="TARGET", default="ctranslate2", show_default=True, help="ctranslate2, or a target of another package.")  # fmt: skip  # noqa: E501
@click.option("--quantization", default="float32", show_default=True, help="float32, float16, int8, or another that CTranslate2 knows.")  # fmt: skip  # noqa: E501
def export(model: str, output: Path, to: str, quantization: str) -> None:
    """Write the adapted MODEL to the folder OUTPUT for another runtime.

    Both are run on the same sounds first, and nothing is written unless they agree. ctranslate2 wants a model adapted
    with --head seq2seq, and is what faster-whisper opens.
    """
    import speechxfer as sx

    click.echo(f"{output}: {sx.export(model, output, to=to, quantization=quantization)}")
