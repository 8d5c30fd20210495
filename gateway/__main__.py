import os
import sys

import uvloop

from gateway.server import run
from gateway.settings import InvalidSettings, Settings

try:
    settings = Settings.from_env(os.environ)
except InvalidSettings as error:
    sys.exit(f"gateway: {error}")
uvloop.run(run(settings))
