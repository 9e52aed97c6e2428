"""wav2vec 2.0 (Baevski et al., 2020) and those built as it is: HuBERT, WavLM and data2vec for audio."""

from __future__ import annotations

from speechxfer.config.families import Family

_PARTS = ("feature_extractor.", "feature_projection.", "encoder.", "adapter.", "masked_spec_embed")


def _family(encoder: str, stem: str, prefix: str) -> Family:
    anchor = "feature_extractor.conv_layers.0.conv.weight"
    return Family(f"{__name__}.encoder:{encoder}", stem, prefix, anchor, _PARTS)


WAV2VEC2 = _family("Wav2Vec2Encoder", "Wav2Vec2", "wav2vec2.")
HUBERT = _family("HubertEncoder", "Hubert", "hubert.")
WAVLM = _family("WavLMEncoder", "WavLM", "wavlm.")
DATA2VEC_AUDIO = _family("Data2VecAudioEncoder", "Data2VecAudio", "data2vec_audio.")
