"""The shop's own documents: cut into passages, kept in the index, and quoted to who asks about the shop's service."""
