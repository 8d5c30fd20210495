# ruff: noqa: INP001 - a module of its image, which is copied to tensorrt.py
"""TensorRT's bindings by the name under which programs know them; the libraries are the image's."""

import sys
from importlib import import_module

sys.modules[__name__] = import_module("tensorrt_bindings")
