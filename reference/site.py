"""What MkDocs calls while it builds the site: links to files that the site does not have become their text.

The pages are read in the repository too, where such a link opens the file. MkDocs loads this file by its path.
"""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"!?\[((?:[^\[\]`]|`[^`]*`)+)\]\((?!https?://)([^)\s#]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Replace each link and picture that lies outside docs/ by its text; called by MkDocs for each page."""
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] if target.startswith("../") else link[0]

    return _LINK.sub(replaced, markdown)
