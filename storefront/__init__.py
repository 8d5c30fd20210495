"""The page to look at: a thin HTTP bridge from a browser to the gateway, and the page itself in `page/`."""
