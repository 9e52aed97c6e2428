"""The decoder that a checkpoint has of its own, whichever family it is of."""

from speechxfer.config.heads import HeadType
from speechxfer.heads.seq2seq.settings import Seq2SeqConfig

SEQ2SEQ = HeadType(
    f"{__name__}.head:Seq2SeqHead",
    summary="the checkpoint's own decoder",
    settings=Seq2SeqConfig,
    comes_with_checkpoint=True,
    limits=("Its decoder may write words where there is no speech.",),
)
