import asyncio
import os
import sys

from storefront.server import serve
from storefront.settings import Settings
from vitrine.channels import InvalidAccess
from vitrine.process.logs import configure_logs
from vitrine.process.settings import InvalidSettings

try:
    settings = Settings.from_env(os.environ)
except InvalidSettings as error:
    sys.exit(f"storefront: {error}")
configure_logs("info")
try:
    asyncio.run(serve(settings))
except InvalidAccess as error:
    sys.exit(f"storefront: {error}")
except OSError as error:
    sys.exit(f"storefront: {error.strerror}")
