"""Moonshine (Jeffries et al., 2024): its encoder on the waveform, and its own decoder with the tokenizer."""

from speechxfer.config.families import Family, OwnDecoder

MOONSHINE = Family(
    encoder=f"{__name__}.encoder:MoonshineEncoder",
    stem="Moonshine",
    prefix="model.",
    anchor="encoder.conv1.weight",
    parts=("encoder.", "decoder."),
    decoder=OwnDecoder(f"{__name__}.decoder:MoonshineSeq2SeqHead", head="seq2seq", prefix="model.decoder."),
)
