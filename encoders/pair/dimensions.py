"""The tensors of the family `pair`."""

from vitrine.tensors import Dimensions

IMAGE_SIZE = 224
TEXT_LENGTH = 64
"""Word pieces of a text, begin and end included."""
EMBEDDING_DIM = 256

DIMENSIONS = Dimensions(
    image_size=IMAGE_SIZE, text_length=TEXT_LENGTH, embedding_dim=EMBEDDING_DIM, fusion_reads_text=True
)
