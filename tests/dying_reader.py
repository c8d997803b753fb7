"""A reader whose process dies once, at one image: what a lost worker looks like."""

import os
import signal
from pathlib import Path

from livestock_utils.core.photos import FolderReader


class DyingReader(FolderReader):
    """Kills its own process at `fatal`, unless the file `marker` says that this has happened."""

    def __init__(self, folder, fatal, marker):
        super().__init__(folder)
        self.fatal, self.marker = fatal, Path(marker)

    def bytes(self, archive, member):
        if member == self.fatal and not self.marker.exists():
            self.marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().bytes(archive, member)
