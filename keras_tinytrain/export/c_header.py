"""Writes bytes as a C header."""

from __future__ import annotations

import re


def c_header(name: str, data: bytes, numbers: dict[str, int]) -> str:
    """Returns a C and C++ header with an aligned array of the bytes.

    Args:
        name: Name of the network, of which the names in C are made.
        data: The blob.
        numbers: What a program has to know when it is compiled, by name.
    """
    name = "tinytrain_" + re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    lines = [
        ",".join(map(str, data[i : i + 20])) for i in range(0, len(data), 20)
    ]
    body = ",\n".join(lines)
    defines = "\n".join(
        f"#define {name.upper()}_{key.upper()} {number}"
        for key, number in numbers.items()
    )
    return f"""\
// Written by keras_tinytrain.export_micro. docs/format.md has the format.
#ifndef {name.upper()}_H_
#define {name.upper()}_H_

{defines}

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
