"""What the shop refuses: pictures that resemble blocked ones, nudity, and words."""
