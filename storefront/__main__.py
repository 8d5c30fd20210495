import asyncio
import logging
import os
import sys

from storefront.server import serve
from storefront.settings import Settings
from vitrine.channels import InvalidAccess
from vitrine.process.settings import InvalidSettings

try:
    settings = Settings.from_env(os.environ)
except InvalidSettings as error:
    sys.exit(f"storefront: {error}")
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
try:
    asyncio.run(serve(settings))
except InvalidAccess as error:
    sys.exit(f"storefront: {error}")
except OSError as error:
    sys.exit(f"storefront: {error.strerror}")
