"""Records for the tests of reports."""

from keras_tinytrain.report.summary import Net

NET = Net("mcunet", "imagenet")
PROTOCOL = {
    "way": None,
    "shot": None,
    "max_way": 20,
    "max_support": 150,
    "image_size": 128,
    "steps": 40,
}
SECONDS = {"none": 0.5, "tinytrain": 2.0, "full": 20.0}


def record(method, dataset, episode, accuracy, net=NET, **fields):
    """Returns a record; the first episode of a method is a cold one."""
    ours = method == "tinytrain"
    return {
        "net": net.name,
        "weights": net.weights,
        "precision": net.precision,
        "dataset": dataset,
        "method": method,
        "seed": 0,
        "episode": episode,
        "accuracy": accuracy,
        "memory_bytes": 2**20 * (900 if method == "full" else 1),
        "macs": 6_500_000 + episode if ours else 44_900_000,
        "trained_weights": 17_000,
        "channels": {"low": f"4:{episode}", "high": "8:2-3"} if ours else {},
        "seconds": SECONDS.get(method, 1.0) * (10 if episode == 0 else 1),
        "selection_seconds": 0.1 if ours else None,
        "cold": episode == 0,
        **fields,
    }


def row(table, heading):
    """Returns the cells of a row of a table by column."""
    (cells,) = [cells for name, cells in table.rows if name == heading]
    return dict(zip(table.columns[1:], cells))
