"""What processes that this project starts have in common."""

from __future__ import annotations

import os
import threading
import time


def leave_with(parent: int) -> None:
    """Ends this process when its parent is gone, so that a killed run leaves nothing behind that works on, or waits."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
