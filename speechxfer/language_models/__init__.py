"""N-gram language models of words: training, ARPA files, and the probability of the next word."""

from speechxfer.language_models.arpa import is_arpa, read_arpa, write_arpa
from speechxfer.language_models.kneser_ney import train
from speechxfer.language_models.ngrams import BEGIN, END, UNKNOWN, LanguageModel, Ngrams
from speechxfer.language_models.texts import sentences

__all__ = [
    "BEGIN", "END", "UNKNOWN", "LanguageModel", "Ngrams", "is_arpa", "read_arpa", "sentences", "train", "write_arpa",
]  # fmt: skip
