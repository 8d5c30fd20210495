"""What the backbone makes of pictures, computed once and kept on disk: maps of its frozen part, and features of the whole."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from encoders.pair.backbone import FEATURES, MAPS, Backbone, Lower, Upper
from encoders.pair.dimensions import IMAGE_SIZE
from encoders.photographs.embedder import digest_of_pictures
from encoders.stages import device
from vitrine.preprocess import decode_image

_ROWS = 8
"""Pictures that are decoded at a time."""
_MAP_ROWS = 64
_MARK_EVERY = 10
_OPSET = 20

Maps = NDArray[np.float16]
"""(n, VIEWS, *MAPS): 88 kB a picture."""
Features = NDArray[np.float16]
"""(n, VIEWS or 1, FEATURES)."""

VIEWS = 2
"""Of a picture: as it is, and mirrored."""


def picture_maps(backbone: Backbone, pictures: Sequence[bytes], *, work: Path) -> Maps:
    """Return the maps of encoded pictures, (n, VIEWS, *MAPS); they are kept in the folder, and read from it.

    A run that was stopped goes on where it was.

    Raises:
        ImageRejected: a picture is damaged.
    """
    path = work / f"maps-{digest_of_pictures(pictures)}-{_digest(Lower(backbone))}.npy"
    return _kept(path, (len(pictures), VIEWS, *MAPS), _by_views(Lower(backbone), pictures), _ROWS)


def picture_features(
    backbone: Backbone, pictures: Sequence[bytes], *, work: Path, views: int = VIEWS
) -> Features:
    """Return the features of encoded pictures, (n, views, FEATURES), as `picture_maps` does, which then need not be kept.

    Raises:
        ImageRejected: a picture is damaged.
    """
    path = work / f"features-{digest_of_pictures(pictures)}-{_digest(backbone)}-{views}.npy"
    shape = (len(pictures), views, FEATURES)
    return _kept(path, shape, _by_views(backbone, pictures, views), _ROWS)


def features_of(backbone: Backbone, maps: Maps, *, work: Path, pictures: str) -> Features:
    """Return the features of maps, (n, VIEWS, FEATURES); they are kept in the folder, and read from it.

    Args:
        backbone: its upper part computes.
        maps: what its lower part gave.
        work: the folder.
        pictures: names those that the maps are of.
    """
    upper = Upper(backbone).eval().to(device())

    @torch.inference_mode()
    def computed(rows: slice) -> NDArray[np.float32]:
        given = as_tensor(maps[rows].reshape(-1, *MAPS))
        features: NDArray[np.float32] = upper(given).cpu().numpy()
        return features.reshape(-1, VIEWS, FEATURES)

    path = work / f"features-{pictures}-{_digest(upper)}.npy"
    return _kept(path, (len(maps), VIEWS, FEATURES), computed, _MAP_ROWS)


def as_tensor(maps: Maps) -> torch.Tensor:
    """Return maps (n, *MAPS) as the backbone computes fastest with them: float32, channels last."""
    given = torch.from_numpy(np.asarray(maps, np.float32))
    return given.to(device(), memory_format=torch.channels_last)


def _by_views(
    module: Lower | Backbone, pictures: Sequence[bytes], views: int = VIEWS
) -> Callable[[slice], NDArray[np.float32]]:
    """Return what computes a module's arrays of some of the pictures, (n, views, ...)."""
    run: _Runner | None = None

    def computed(rows: slice) -> NDArray[np.float32]:
        nonlocal run
        run = run or _Runner(module)
        pixels = np.stack([decode_image(each, size=IMAGE_SIZE) for each in pictures[rows]])
        seen = (pixels, np.ascontiguousarray(pixels[:, :, ::-1]))[:views]
        return np.stack([run(each) for each in seen], axis=1)

    return computed


def _digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _kept(
    path: Path, shape: tuple[int, ...], compute: Callable[[slice], NDArray[np.float32]], rows: int
) -> NDArray[np.float16]:
    """Return the array of a file, whose missing rows are computed so many at a time."""
    if not shape[0]:
        return np.empty(shape, np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    done_path = path.with_suffix(".done")
    kept: np.memmap[Any, np.dtype[np.float16]] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        path, mode="r+" if path.exists() else "w+", dtype=np.float16, shape=shape
    )
    done = int(done_path.read_text()) if done_path.exists() else 0
    starts = range(done, shape[0], rows)
    for batch, start in enumerate(tqdm(starts, path.stem, mininterval=10, disable=not starts)):
        kept[start : start + rows] = compute(slice(start, start + rows))
        if batch % _MARK_EVERY == 0:
            kept.flush()
            done_path.write_text(str(start))
    kept.flush()
    done_path.write_text(str(shape[0]))
    return kept


class _Runner:
    """ONNX Runtime, which is four times as fast as eager torch at depthwise convolutions on a CPU; torch on a GPU."""

    def __init__(self, module: Lower | Backbone) -> None:
        self._session: onnxruntime.InferenceSession | None = None
        self._module = module.eval().to(device())
        if device().type == "cpu":
            example = torch.zeros((2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
            batch = torch.export.Dim("batch", min=1, max=_ROWS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch deprecates parts that its own exporter still uses
                program = torch.onnx.export(
                    self._module,
                    (example,),
                    dynamo=True,
                    opset_version=_OPSET,
                    input_names=["pixels"],
                    dynamic_shapes=({0: batch},),
                    verbose=False,
                )
            assert program is not None  # only the exporter before dynamo gives None
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            self._session = onnxruntime.InferenceSession(
                program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the module makes of pixels, rows first."""
        if self._session is None:
            given = torch.from_numpy(pixels).to(device())
            on_gpu: NDArray[np.float32] = self._module(given).float().cpu().numpy()
            return on_gpu
        arrays: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0]
        return arrays
