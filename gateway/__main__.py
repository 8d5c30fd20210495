import os
import sys

import uvloop

from gateway.server import run
from gateway.settings import Settings
from vitrine.process.settings import InvalidSettings

try:
    uvloop.run(run(Settings.from_env(os.environ)))
except InvalidSettings as error:
    sys.exit(f"gateway: {error}")
