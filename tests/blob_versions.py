"""A blob as a later minor version might write it."""

from keras_tinytrain.export import layout


def longer(data):
    """Writes 4 bytes more an operation, and a section that may be ignored."""
    header = layout.HEADER.unpack(data)
    rows, bodies = [], []
    for i in range(header["sections"]):
        row = layout.SECTION.unpack(data, 48 + 20 * i)
        body = data[row["offset"] : row["offset"] + row["size"]]
        if row["kind"] == layout.SECTIONS["operations"]:
            body = b"".join(
                body[j : j + 44] + b"new!" for j in range(0, len(body), 44)
            )
            row["stride"] = 48
        rows.append(row)
        bodies.append(body)
    rows.append({"kind": 1 << 31 | 7, "count": 3, "stride": 5})
    bodies.append(bytes(15))
    start = 48 + 20 * len(rows)
    out = bytearray(start + -start % 16)
    shift = 0
    for row, body in zip(rows, bodies):
        if row["kind"] == layout.SECTIONS["weights"]:
            shift = len(out) - row["offset"]
        row |= {"offset": len(out), "size": len(body)}
        out += body + bytes(-len(body) % 16)
    table = {row["kind"]: row for row in rows}
    layers_at = table[layout.SECTIONS["layers"]]
    for i in range(layers_at["count"]):
        at = layers_at["offset"] + 64 * i
        record = layout.LAYER.unpack(bytes(out), at)
        record["kernel"] += shift
        record["bias"] += shift if record["biases"] else 0
        record["scale"] += shift if record["scales"] else 0
        out[at : at + 64] = layout.LAYER.pack(**record)
    out[:48] = layout.HEADER.pack(
        **header | {"sections": len(rows), "minor": 1}
    )
    packed = b"".join(layout.SECTION.pack(**row) for row in rows)
    out[48 : 48 + len(packed)] = packed
    return layout.seal(bytes(out))
