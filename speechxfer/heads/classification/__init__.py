"""Which class a whole utterance is of."""

from speechxfer.config.heads import HeadType
from speechxfer.heads.classification.settings import ClassificationConfig

CLASSIFICATION = HeadType(
    f"{__name__}.head:ClassificationHead",
    summary="a head that tells classes of whole utterances apart",
    task="classification",
    settings=ClassificationConfig,
    ignores=("plan.train_embedding", "retention.language", "text.normalizer", "text.scoring_normalizer"),
    reader=f"{__name__}.reader:ClassificationReader",
    limits=("It knows only its own classes: sound of any other kind may be given one of them too.",),
)
