"""Makes the embedded model: a grammar of conversations, the network, and the run that trains and exports it.

The one part of this room that may import torch, for nothing here serves.
"""
