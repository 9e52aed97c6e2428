"""w2v-BERT 2.0 (Seamless Communication et al., 2023)."""

from __future__ import annotations

from speechxfer.config.families import Family

WAV2VEC2_BERT = Family(
    encoder=f"{__name__}.encoder:Wav2Vec2BertEncoder",
    stem="Wav2Vec2Bert",
    prefix="wav2vec2_bert.",
    anchor="feature_projection.projection.weight",
    parts=("feature_projection.", "encoder.", "adapter.", "intermediate_ffn.", "masked_spec_embed"),
)
