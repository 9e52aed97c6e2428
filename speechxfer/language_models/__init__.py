"""N-gram language models of words: training, ARPA files, and the probability of the next word."""

from speechxfer.language_models.arpa import read_arpa, write_arpa
from speechxfer.language_models.kneser_ney import train
from speechxfer.language_models.ngrams import BEGIN, END, UNKNOWN, LanguageModel, Ngrams

__all__ = ["BEGIN", "END", "UNKNOWN", "LanguageModel", "Ngrams", "read_arpa", "train", "write_arpa"]
