"""What the frozen backbone makes of pictures, computed once and kept on disk."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.pair.backbone import FEATURES, Backbone
from encoders.pair.dimensions import IMAGE_SIZE
from encoders.stages import device
from vitrine.preprocess import decode_image

_ROWS = 8
_OPSET = 20

Features = NDArray[np.float16]
"""(n, views, FEATURES)."""

VIEWS = 2
"""Of a picture: as it is, and mirrored."""


def picture_features(backbone: Backbone, pictures: Sequence[bytes], *, work: Path) -> Features:
    """Return the features of encoded pictures, (n, VIEWS, FEATURES); they are kept in the folder, and read from it.

    A run that was stopped goes on where it was.

    Raises:
        ImageRejected: a picture is damaged.
    """
    digest = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in pictures))
    for tensor in backbone.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    path = work / f"features-{digest.hexdigest()[:16]}.npy"
    done_path = path.with_suffix(".done")
    work.mkdir(parents=True, exist_ok=True)
    shape = (len(pictures), VIEWS, FEATURES)
    mode = "r+" if path.exists() else "w+"
    features: np.memmap[Any, np.dtype[np.float16]] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        path, mode=mode, dtype=np.float16, shape=shape
    )
    done = int(done_path.read_text()) if done_path.exists() else 0
    run = _Runner(backbone) if done < len(pictures) else None
    for start in tqdm(range(done, len(pictures), _ROWS), "features", mininterval=10, disable=run is None):
        assert run is not None, "something is left to do"
        rows = np.stack([decode_image(each, size=IMAGE_SIZE) for each in pictures[start : start + _ROWS]])
        for view, pixels in enumerate((rows, np.ascontiguousarray(rows[:, :, ::-1]))):
            features[start : start + len(rows), view] = run(pixels)
        if start // _ROWS % 50 == 0:
            features.flush()
            done_path.write_text(str(start))
    features.flush()
    done_path.write_text(str(len(pictures)))
    return features


class _Runner:
    """ONNX Runtime, which is four times as fast as eager torch at depthwise convolutions on a CPU; torch on a GPU."""

    def __init__(self, backbone: Backbone) -> None:
        self._session: onnxruntime.InferenceSession | None = None
        self._backbone = backbone.to(device())
        if device().type == "cpu":
            example = torch.zeros((2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
            batch = torch.export.Dim("batch", min=1, max=_ROWS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch deprecates parts that its own exporter still uses
                program = torch.onnx.export(
                    backbone,
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
        """Return the features, (n, FEATURES)."""
        if self._session is None:
            given = torch.from_numpy(pixels).to(device())
            on_gpu: NDArray[np.float32] = self._backbone(given).float().cpu().numpy()
            return on_gpu
        features: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0]
        return features
