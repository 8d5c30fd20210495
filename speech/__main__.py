import asyncio
import os
import sys

from speech.packages import PackageMissing
from speech.server import run
from speech.settings import Settings
from vitrine.process.settings import InvalidSettings

try:
    settings = Settings.from_env(os.environ)
    settings.api_key()
    settings.authorities()
    # Not uvloop, which forks to start a decoder, with gRPC's threads under way; this loop's subprocesses need no fork.
    asyncio.run(run(settings))
except (InvalidSettings, PackageMissing) as error:
    sys.exit(f"speech: {error}")
