"""Turns records into tables, figures and a page, beside the paper's."""

from keras_tinytrain.report.summary import Summary
from keras_tinytrain.report.write import write_report

__all__ = ["Summary", "write_report"]
