"""The libraries that the pages use, as files beside them: DataTables as itables bundles it, and plotly.js."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files


def library_files() -> Iterator[tuple[str, bytes]]:
    """Name and content of each. A page that is opened from disk may not load a module from a file, so DataTables,
    which is one, is loaded by a classic script that holds it."""
    from plotly.offline import get_plotlyjs

    bundle = files("itables").joinpath("html")
    module = bundle.joinpath("dt_bundle.js").read_text(encoding="utf-8")
    loader = "window.dataTables = import(URL.createObjectURL(new Blob([{}], {{type: 'text/javascript'}})));\n"
    yield "datatables.js", loader.format(json.dumps(module)).encode()
    yield "datatables.css", bundle.joinpath("dt_bundle.css").read_bytes()
    yield "plotly.js", get_plotlyjs().encode()
