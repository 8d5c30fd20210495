"""Small networks on a shared machine: one thread is faster than threads that wait for each other."""

import torch

torch.set_num_threads(1)
