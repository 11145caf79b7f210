"""Makes tables, figures and a page of what `evaluate.py` has recorded.

    python examples/report.py --records=build/records.jsonl

Open `report.html` in the folder; it needs no network.
"""

import pathlib
import sys

from absl import app, flags

from keras_tinytrain import evaluation, report
from keras_tinytrain.evaluation.records import merge

FLAGS = flags.FLAGS
flags.DEFINE_list("records", "build/records.jsonl", "Files of records.")
flags.DEFINE_string("folder", "build/report", "Where to write.")


def main(argv: list[str]) -> None:
    """Reads the records and writes the report."""
    if argv[1:]:
        raise ValueError(f"Expected flags only. Received: {argv[1:]}")
    records = merge([evaluation.read_records(path) for path in FLAGS.records])
    names = report.write_report(records, FLAGS.folder)
    print(f"{len(records.episodes)} records")
    for name in names:
        print(pathlib.Path(FLAGS.folder) / name)


if __name__ == "__main__":
    try:
        app.run(main)
    except (OSError, ValueError) as error:
        sys.exit(f"report.py: {error}")
