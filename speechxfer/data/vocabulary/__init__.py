"""What the outputs of a CTC head stand for: characters, pieces of words, or phonemes."""

from speechxfer.data.vocabulary.base import Vocabulary, frames_needed
from speechxfer.data.vocabulary.characters import Characters
from speechxfer.data.vocabulary.phonemes import Phonemes
from speechxfer.data.vocabulary.pieces import Pieces
from speechxfer.data.vocabulary.restoring import restore_vocabulary

__all__ = ["Characters", "Phonemes", "Pieces", "Vocabulary", "frames_needed", "restore_vocabulary"]
