"""A family of encoders, a head and a masking for speechxfer.

What stands here is imported whenever somebody lists what there is, so it must not import torch.
"""

from dataclasses import dataclass
from typing import Annotated

from speechxfer.config import HeadType
from speechxfer.config.families import Family
from speechxfer.config.maskings import MaskingType
from speechxfer.config.values import Range, Table


@dataclass(frozen=True)
class EnergyConfig(Table, group="energy"):
    """The encoder of energies."""

    #: Leave out the lowest band, which has the hum of power lines.
    skip_bass: bool = False


#: Its name in the entry point is the `model_type` in the `config.json` of its checkpoints.
ENERGY = Family(encoder="toy_speech.encoder:EnergyEncoder", settings=EnergyConfig)


@dataclass(frozen=True)
class WholeTextConfig(Table, group="whole_text"):
    """The head that knows whole texts."""

    #: Units of the hidden layer.
    hidden_units: Annotated[int, Range(1, 4096)] = 32


WHOLE_TEXT = HeadType(
    implementation="toy_speech.head:WholeTextHead",
    summary="a head that knows whole texts",
    settings=WholeTextConfig,
    limits=("It writes only the texts that it was trained on, each as a whole.",),
)


@dataclass(frozen=True)
class OneBlockConfig(Table, group="one_block"):
    """Masks of one block."""

    #: Fraction of each utterance that the block covers.
    size: Annotated[float, Range(0, 1)] = 0.25


ONE_BLOCK = MaskingType(draw="toy_speech.masking:one_block", settings=OneBlockConfig)
