"""What targets that run a Whisper with its own decoder have in common."""

from __future__ import annotations

from typing import cast

from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.encoder import WhisperEncoder
from speechxfer.model import SpeechModel

#: What models that find out what is spoken are compared in, for other runtimes find it out in other ways.
LANGUAGE = "en"
WANTED = "Whisper with its own decoder; wanted a model from finetune --head seq2seq"


def decoder_of(model: SpeechModel) -> WhisperSeq2SeqHead:
    """The head of a Whisper with its own decoder."""
    return cast(WhisperSeq2SeqHead, model.head)


def encoder_of(model: SpeechModel) -> WhisperEncoder:
    """The encoder below it."""
    return cast(WhisperEncoder, model.encoder)


def token_bytes(head: WhisperSeq2SeqHead) -> list[bytes]:
    """What each token below the end of text writes, in UTF-8; parts of characters among them."""
    tokenizer, table = head.tokens.tokenizer, {character: byte for byte, character in enumerate(_alphabet())}
    named = [str(tokenizer.id_to_token(number)) for number in range(head.tokens.end)]
    return [bytes(map(table.__getitem__, name)) if set(name) <= table.keys() else name.encode() for name in named]


def _alphabet() -> list[str]:
    """The character that each byte is written as in vocabularies of bytes: itself if it can be seen, or a later one."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(byte if byte in seen else next(others)) for byte in range(256)]
