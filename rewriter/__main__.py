import os
import sys

# Before numpy comes: words are embedded in threads of their own, and more of them would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvloop

from rewriter.server import run
from rewriter.settings import Settings
from vitrine.process.settings import InvalidSettings

try:
    settings = Settings.from_env(os.environ)
    settings.api_key()
    settings.authorities()
    uvloop.run(run(settings))
except InvalidSettings as error:
    sys.exit(f"rewriter: {error}")
