"""Small networks on a shared machine: one thread is faster than threads that wait for each other."""

import pytest
import torch

from encoders.pair.networks import PairEncoders, new_pair
from tests.unit.encoders.pair_photographs import SMALL

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoders() -> PairEncoders:
    """The family `pair`, small and not trained."""
    torch.manual_seed(1)
    made = new_pair(SMALL)
    for network in made.parts().values():
        network.eval()
    return made
