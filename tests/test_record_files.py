import pytest
import tensorflow as tf

from keras_tinytrain.record_files import iterate_records, read_record

RECORDS = [b"", b"one", b"x" * (3 << 20), b"last"]


def write(path):
    if ".tfrecord" in path.name:
        writer = tf.io.TFRecordWriter(str(path))
    else:
        module = pytest.importorskip("array_record.python.array_record_module")
        writer = module.ArrayRecordWriter(str(path), "group_size:1")
    for record in RECORDS:
        writer.write(record)
    writer.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "name-train.tfrecord-00000-of-00001"


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_records_are_found_again(tmp_path, kind):
    path = tmp_path / f"name-train.{kind}-00000-of-00001"
    write(path)
    found = list(iterate_records(path))
    assert [record for _, record in found] == RECORDS
    for place, record in reversed(found):
        assert read_record(path, place) == record


def test_an_empty_file_has_no_records(path):
    path.write_bytes(b"")
    assert not list(iterate_records(path))


@pytest.mark.parametrize("damage", ["cut", "length", "short"])
def test_a_damaged_file_is_named(path, damage):
    write(path)
    data = path.read_bytes()
    place, _ = list(iterate_records(path))[-1]
    if damage == "cut":
        data = data[:-1]
    elif damage == "length":
        data = data[:place] + b"\xff" * 8 + data[place + 8 :]
    else:
        data = data[: place + 5]
    path.write_bytes(data)
    words = f"byte {place}.*name-train.*cut short"
    with pytest.raises(ValueError, match=words):
        list(iterate_records(path))
    with pytest.raises(ValueError, match=words):
        read_record(path, place)


def test_other_formats_are_refused(tmp_path):
    path = tmp_path / "name-train.riegeli-00000-of-00001"
    words = r"tfrecord, array_record.*riegeli.*once more"
    with pytest.raises(ValueError, match=words):
        next(iterate_records(path))
    with pytest.raises(ValueError, match=words):
        read_record(path, 0)
