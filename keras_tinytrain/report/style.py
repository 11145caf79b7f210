"""How figures look: a colour and a marker per method, on light and dark."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Theme:
    """Colours of a figure.

    Attributes:
        name: `"light"` or `"dark"`.
        background: Behind everything.
        text: Titles, labels and ticks.
        grid: Lines that lead the eye.
        never: A channel that is never trained.
        shades: Ends of the scale from rarely to always trained.
    """

    name: str
    background: str
    text: str
    grid: str
    never: str
    shades: tuple[str, str]


LIGHT = Theme(
    "light", "#ffffff", "#20242c", "#dcdfe6", "#ececf1", ("#a9cdea", "#003f72")
)
DARK = Theme(
    "dark", "#16191f", "#dfe3ea", "#363c47", "#262b34", ("#1f5c8f", "#bfe1ff")
)

# Okabe and Ito's colours, told apart with any colour vision; the marker says
# the same once more. Methods of one kind share a colour.
_KNOWN = {
    "none": ("#8b929e", "X"),
    "full": ("#0072b2", "s"),
    "full-linear": ("#56b4e9", "s"),
    "lastlayer": ("#009e73", "^"),
    "transductive": ("#a58a3c", "h"),
    "adapterdrop75": ("#cc79a7", "v"),
    "adapterdrop50": ("#cc79a7", "<"),
    "adapterdrop25": ("#cc79a7", ">"),
    "tinytl": ("#cc79a7", "D"),
    "sparseupdate": ("#e69f00", "p"),
    "tinytrain": ("#d55e00", "o"),
}
# Tol's muted colours, for the methods that come.
_OTHERS = (
    ("#44aa99", "P"),
    ("#aa4499", "*"),
    ("#999933", "d"),
    ("#cc6677", "8"),
    ("#6699cc", "H"),
)


def looks(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Returns colour and marker of each method.

    Args:
        methods: All methods of a report.
    """
    found = {}
    others = sorted(set(methods) - set(_KNOWN))
    for method in methods:
        if method in _KNOWN:
            found[method] = _KNOWN[method]
        else:
            found[method] = _OTHERS[others.index(method) % len(_OTHERS)]
    return found
