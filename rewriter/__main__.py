import os
import sys

import uvloop

from rewriter.server import run
from rewriter.settings import Settings
from vitrine.process.settings import InvalidSettings

try:
    settings = Settings.from_env(os.environ)
    settings.read_api_key()
    uvloop.run(run(settings))
except InvalidSettings as error:
    sys.exit(f"rewriter: {error}")
