"""Writes bytes as a C header."""

from __future__ import annotations

import re


def c_header(name: str, data: bytes) -> str:
    """Returns a C and C++ header with an aligned array of the bytes.

    Args:
        name: Name of the network, of which the names in C are made.
        data: The blob.
    """
    name = "tinytrain_" + re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    lines = [
        ",".join(map(str, data[i : i + 20])) for i in range(0, len(data), 20)
    ]
    body = ",\n".join(lines)
    return f"""\
// Written by keras_tinytrain.export_micro. docs/format.md has the format.
#ifndef {name.upper()}_H_
#define {name.upper()}_H_

#ifdef __cplusplus
alignas(16)
#else
_Alignas(16)
#endif
static const unsigned char {name}[{len(data)}] = {{
{body}
}};

#endif  // {name.upper()}_H_
"""
