"""Tell spoken digits apart with a pre-trained encoder, with either head."""

from pathlib import Path

import click

import speechxfer as sx


@click.command(cls=sx.Command)
@click.option("--model", help="Pre-trained model (default: Whisper tiny.en).")
@click.option("--head", type=click.Choice(["classification", "ctc"]), default="classification", show_default=True)
@click.option("--leave-out", default="", metavar="SPEAKER", help="Test on this speaker, who is left out of training.")
@click.option("--data", default="data/spoken_digits", show_default=True, help="Folder that prepare.py wrote.")
@click.option("--output", default="", help="Folder for the run (default: runs/digits-HEAD[-without-SPEAKER]).")
@click.option("--resume", is_flag=True, help="Resume the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(model: str | None, head: str, leave_out: str, data: str, output: str, resume: bool, overwrite: bool) -> None:
    """Train, and print how many digits of the test are right."""
    fold = f"-without-{leave_out}" if leave_out else ""
    data = str(Path(data, fold.removeprefix("-")))
    sx.finetune(
        model, config=Path(__file__).with_name("recipe.toml"), progress=sx.TerminalProgress(),
        train=f"{data}/train.jsonl", dev=f"{data}/dev.jsonl", test=f"{data}/test.jsonl",
        output=output or f"runs/digits-{head}{fold}", head=head, resume=resume, overwrite=overwrite,
    )  # fmt: skip


if __name__ == "__main__":
    train()
