import os
import sys

import uvloop

from speech.packages import PackageMissing
from speech.server import run
from speech.settings import Settings
from vitrine.process.settings import InvalidSettings

try:
    settings = Settings.from_env(os.environ)
    settings.read_api_key()
    uvloop.run(run(settings))
except (InvalidSettings, PackageMissing) as error:
    sys.exit(f"speech: {error}")
