"""The model of arXiv 2404.15790: its networks as they are served, and how they are trained."""
