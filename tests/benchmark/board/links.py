"""Where the links of a page lead."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote


def links_of(page: Path) -> list[Path]:
    """What each relative link and each picture of a page leads to, whether it is there or not."""
    targets = re.findall(r"\]\(([^)]*)\)", page.read_text(encoding="utf-8"))
    relative = [unquote(target) for target in targets if "://" not in target]
    assert not [target for target in relative if not target or Path(target).is_absolute()]
    return [Path(os.path.normpath(page.parent / target)) for target in relative]
