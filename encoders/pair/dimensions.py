"""The tensors of the family `pair`."""

from vitrine.tensors import Dimensions

IMAGE_SIZE = 224
TEXT_LENGTH = 64
"""Word pieces of a text, begin and end included."""
EMBEDDING_DIM = 256
TRAINED_DIM = 128
"""Of an embedding's numbers, those that the heads fill where the image tower's own have the others (`kept.py`)."""

DIMENSIONS = Dimensions(
    image_size=IMAGE_SIZE, text_length=TEXT_LENGTH, embedding_dim=EMBEDDING_DIM, fusion_reads_text=True
)
