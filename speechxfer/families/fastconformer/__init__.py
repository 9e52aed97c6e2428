"""Conformers over log-mel: FastConformer (Rekesh et al., 2023), its streaming variant, and MedASR.

FastConformer is the encoder of Parakeet, Canary and Cohere Transcribe. CTC heads are opened; an encoder below another
decoder is adapted with a new head.
"""

from __future__ import annotations

from speechxfer.config.families import Family

_FASTCONFORMER = f"{__name__}.encoder:FastConformerEncoder"
_LAST = "subsampling.linear.weight"
_TRANSDUCER = "transducer decoder (RNN-T or TDT)"
#: Names in the layout of NeMo, which some checkpoints have -> those of `transformers`.
_NEMO = {
    r"\bencoder\.pre_encode\.conv\.": "encoder.subsampling.layers.",
    r"\bencoder\.pre_encode\.out\.": "encoder.subsampling.linear.",
    r"\.self_attn\.linear_([qkv])\.": r".self_attn.\1_proj.",
    r"\.self_attn\.linear_out\.": ".self_attn.o_proj.",
    r"\.self_attn\.linear_pos\.": ".self_attn.relative_k_proj.",
    r"\.self_attn\.pos_bias_([uv])$": r".self_attn.bias_\1",
    r"\.conv\.batch_norm\.": ".conv.norm.",
}


def _family(encoder: str, stem: str, last: str = _LAST, unsupported: str = "") -> Family:
    """A model that holds the encoder itself, whose parts below the layers end with the weight `last`."""
    return Family(encoder, stem, anchor=f"encoder.{last}", parts=("encoder.",), renamed=_NEMO, unsupported=unsupported)


def _below_a_decoder(stem: str) -> Family:
    """A model in which the encoder stands beside a decoder that attends to it."""
    return Family(
        _FASTCONFORMER, stem, "model.", f"encoder.{_LAST}", ("encoder.", "decoder."), renamed=_NEMO,
        unsupported="attention decoder",
    )  # fmt: skip


PARAKEET_CTC = _family(_FASTCONFORMER, "Parakeet")
PARAKEET_TRANSDUCER = _family(_FASTCONFORMER, "Parakeet", unsupported=_TRANSDUCER)
CANARY = _below_a_decoder("Canary")
COHERE = _below_a_decoder("CohereAsr")
STREAMING = _family(f"{__name__}.streaming:StreamingEncoder", "NemotronAsrStreaming", unsupported=_TRANSDUCER)
MEDASR = _family(f"{__name__}.medasr:MedASREncoder", "Lasr", "subsampler.dense_1.weight")
