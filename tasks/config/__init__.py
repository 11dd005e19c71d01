"""The corpus YAML as one tree of frozen models."""

from tasks.config.corpus import Corpus
from tasks.config.load import load_corpora, load_corpus, parse_corpus

__all__ = ["Corpus", "load_corpora", "load_corpus", "parse_corpus"]
