"""The family `pair`: a pretrained image backbone and a pretrained multilingual text encoder, joined by heads trained here."""
