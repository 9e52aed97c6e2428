"""Whisper (Radford et al., 2022): its encoder, its own decoder with the tokenizer, and the files of other tools."""

from speechxfer.config.families import Family, OwnDecoder
from speechxfer.families.whisper.settings import WhisperConfig

_MODULES = __name__

WHISPER = Family(
    encoder=f"{_MODULES}.encoder:WhisperEncoder",
    stem="Whisper",
    prefix="model.",
    anchor="encoder.conv1.weight",
    parts=("encoder.", "decoder."),
    settings=WhisperConfig,
    classifier_options={"pad_to_30s": True},
    decoder=OwnDecoder(
        implementation=f"{_MODULES}.decoder:WhisperSeq2SeqHead",
        head="seq2seq",
        prefix="model.decoder.",
        options={"pad_to_30s": True},
    ),
    readers=(f"{_MODULES}.ctranslate2:read_whisper",),
)
