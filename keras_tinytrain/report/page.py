"""One page of HTML with all tables and figures, which needs no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from keras_tinytrain.report.cells import Cell, Table
from keras_tinytrain.report.style import DARK, LIGHT

_STYLE = f"""
:root {{ color-scheme: light dark; --back: {LIGHT.background};
  --text: {LIGHT.text}; --line: {LIGHT.grid}; --soft: #5d6573;
  --best: #b34a00; --stripe: #f6f7f9; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --back: {DARK.background}; --text: {DARK.text};
    --line: {DARK.grid}; --soft: #9aa3b2; --best: #ff9a57;
    --stripe: #1d2129; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 84rem; padding: 1.5rem 1.25rem 4rem;
  background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.7rem; margin: 0 0 .25rem; }}
h2 {{ font-size: 1.25rem; margin: 2.5rem 0 .25rem; }}
p {{ margin: .25rem 0 .75rem; max-width: 46rem; color: var(--soft); }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: separate; border-spacing: 0; font-size: .875rem;
  font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .45rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); vertical-align: top; }}
thead th {{ vertical-align: bottom; font-weight: 600; white-space: normal;
  min-width: 5rem; }}
th:first-child {{ text-align: left; position: sticky; left: 0;
  background: var(--back); font-weight: 600; }}
tbody tr:hover > * {{ background: var(--stripe); }}
.best {{ color: var(--best); font-weight: 700; }}
.paper, .lacking {{ color: var(--soft); }}
.lacking {{ display: inline-block; width: 4.5rem; white-space: normal;
  line-height: 1.2; }}
.paper {{ display: block; font-size: .8rem; }}
figure {{ margin: 1rem 0 2rem; }}
img {{ display: block; max-width: 100%; height: auto; }}
figcaption {{ color: var(--soft); font-size: .9rem; max-width: 46rem; }}
"""


def write_page(
    heading: str,
    introduction: Sequence[str],
    parts: Sequence[Table | tuple[str, str, bytes, bytes]],
) -> str:
    """Writes the page.

    Args:
        heading: Title of the page.
        introduction: Paragraphs below it.
        parts: Tables, and figures as heading, caption and the SVG on light
            and on dark.
    """
    body = [f"<h1>{html.escape(heading)}</h1>"]
    body += [f"<p>{html.escape(text)}</p>" for text in introduction]
    for part in parts:
        body.append(_table(part) if isinstance(part, Table) else _figure(*part))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(heading)}</title>\n<style>{_STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(
        f'<th scope="col">{html.escape(name)}</th>' for name in table.columns
    )
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f"{''.join(map(_cell, cells))}</tr>"
        for name, cells in table.rows
    )
    return (
        f"<h2>{html.escape(table.heading)}</h2>\n"
        f"<p>{html.escape(table.note)}</p>\n"
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _cell(cell: Cell) -> str:
    kind = "best" if cell.best else "lacking" if cell.lacking else "ours"
    text = f'<span class="{kind}">{html.escape(cell.ours)}</span>'
    if cell.paper:
        text += f'<span class="paper">({html.escape(cell.paper)})</span>'
    return f"<td>{text}</td>"


def _figure(heading: str, caption: str, light: bytes, dark: bytes) -> str:
    on_light, on_dark = (
        f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
        for svg in (light, dark)
    )
    return (
        f"<h2>{html.escape(heading)}</h2>\n<figure><picture>\n"
        f'<source media="(prefers-color-scheme: dark)" srcset="{on_dark}">\n'
        f'<img src="{on_light}" alt="{html.escape(caption)}">\n</picture>\n'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
