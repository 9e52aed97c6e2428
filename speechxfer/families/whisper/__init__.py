"""Whisper (Radford et al., 2022): its encoder, its own decoder with the tokenizer, and the files of other tools."""

from speechxfer.config.families import Family, OwnDecoder
from speechxfer.config.heads import HeadType
from speechxfer.families.whisper.settings import Seq2SeqConfig, WhisperConfig

_MODULES = __name__

SEQ2SEQ = HeadType(
    f"{_MODULES}.decoder:WhisperSeq2SeqHead",
    summary="Whisper's own decoder",
    settings=Seq2SeqConfig,
    comes_with_checkpoint=True,
    limits=("Its decoder may write words where there is no speech.",),
)

WHISPER = Family(
    encoder=f"{_MODULES}.encoder:WhisperEncoder",
    stem="Whisper",
    prefix="model.",
    anchor="encoder.conv1.weight",
    parts=("encoder.", "decoder."),
    settings=WhisperConfig,
    classifier_options={"pad_to_30s": True},
    decoder=OwnDecoder(
        head="seq2seq",
        prefix="model.decoder.",
        opens=f"{_MODULES}.checkpoint:load_whisper_head",
        options={"pad_to_30s": True},
    ),
    readers=(f"{_MODULES}.ctranslate2:read_whisper",),
)
