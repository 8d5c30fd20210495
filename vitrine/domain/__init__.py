"""What gateway, rewriter, catalogue and clients share: the catalogue's schema, its values, filters, routes and limits.

All of it is data and pure functions; nothing here knows a vendor, a server or a file system but for the schemas that ship.
"""
