"""Connectionist temporal classification (Graves et al., 2006)."""

from speechxfer.config.heads import HeadType
from speechxfer.heads.ctc.settings import CTCConfig

CTC = HeadType(
    f"{__name__}.head:CTCHead",
    summary="a CTC head over characters or pieces of words",
    settings=CTCConfig,
    ignores=("plan.train_embedding", "retention.language"),
    reader=f"{__name__}.reader:CTCReader",
    limits=("It writes only the characters of the training text, as its normalizer writes them.",),
)
