"""`speechxfer export`: an adapted model for another runtime."""

from __future__ import annotations

from pathlib import Path

import click

from speechxfer.cli.paths import MODEL, PATH


@click.command()
@click.argument("model", type=MODEL)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--to", metavar="TARGET", help="onnx, ctranslate2, transformers, sherpa-onnx, onnx-asr, ggml, or a target of another package (default: the first that runs such a model).")  # fmt: skip  # noqa: E501
@click.option("--quantization", help="float32, float16, int8, or another that the runtime knows (default: the most exact one that it knows).")  # fmt: skip  # noqa: E501
@click.option("--dev", type=PATH, help="Manifest of up to 400 utterances to compare on (default: that of the run which MODEL belongs to, or else a few sounds).")  # fmt: skip  # noqa: E501
def export(model: str, output: Path, to: str | None, quantization: str | None, dev: Path | None) -> None:
    """Write the adapted MODEL, a model's folder or a run's, to the folder OUTPUT for another runtime.

    Both are run on the same recordings first, each by its own runtime. Nothing is written if fewer than 99.5 % of the
    texts are equal in float32, or if the error rate rises by more than 0.3 points with fewer bits, and by
    more than chance, or by more than a point.

    onnx takes models with a CTC or classification head; transcribe, classify and evaluate open the folder, without
    torch. sherpa-onnx takes CTC heads, and Whisper with its own decoder. ctranslate2 (which faster-whisper opens),
    onnx-asr and ggml (whisper.cpp) take Whisper with its own decoder. transformers takes what it has a class for.
    """
    import speechxfer as sx

    progress = sx.TerminalProgress()
    click.echo(f"{output}: {sx.export(model, output, to=to, quantization=quantization, dev=dev, progress=progress)}")
