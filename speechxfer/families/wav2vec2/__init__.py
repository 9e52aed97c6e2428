"""wav2vec 2.0 (Baevski et al., 2020), MMS, and those built as it is: HuBERT, WavLM and data2vec for audio."""

from __future__ import annotations

from speechxfer.config.families import Family, Languages

_PARTS = ("feature_extractor.", "feature_projection.", "encoder.", "adapter.", "masked_spec_embed")

#: Names of weight norm before `torch.nn.utils.parametrizations`.
_WEIGHT_NORM = {
    r"\.weight_g$": ".parametrizations.weight.original0",
    r"\.weight_v$": ".parametrizations.weight.original1",
}


def _family(encoder: str, stem: str, prefix: str, *, languages: Languages | None = None) -> Family:
    anchor = "feature_extractor.conv_layers.0.conv.weight"
    return Family(
        f"{__name__}.encoder:{encoder}", stem, prefix, anchor, _PARTS, renamed=_WEIGHT_NORM, languages=languages
    )


#: MMS (Pratap et al., 2023).
_MMS = Languages(setting="adapter_attn_dim", opens=f"{__name__}.languages:in_language")

WAV2VEC2 = _family("Wav2Vec2Encoder", "Wav2Vec2", "wav2vec2.", languages=_MMS)
HUBERT = _family("HubertEncoder", "Hubert", "hubert.")
WAVLM = _family("WavLMEncoder", "WavLM", "wavlm.")
DATA2VEC_AUDIO = _family("Data2VecAudioEncoder", "Data2VecAudio", "data2vec_audio.")
