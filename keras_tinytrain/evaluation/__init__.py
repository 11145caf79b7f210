"""Judges methods on many episodes: one JSON line each, resumable."""

from keras_tinytrain.evaluation.contributions import measure_contributions
from keras_tinytrain.evaluation.protocol import Protocol
from keras_tinytrain.evaluation.records import Records, read_records
from keras_tinytrain.evaluation.run import evaluate

__all__ = [
    "Protocol",
    "Records",
    "evaluate",
    "measure_contributions",
    "read_records",
]
