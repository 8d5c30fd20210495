"""What people call the things that shops sell, in the languages that the rewriter knows."""
