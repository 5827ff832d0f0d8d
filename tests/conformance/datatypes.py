"""Every datatype of the protocol with its hardest values: its ends, and for floats a subnormal."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from tritonclient.utils import triton_to_np_dtype

INTEGERS = {name: np.iinfo(triton_to_np_dtype(name)) for name in (
    "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
)}  # fmt: skip
VALUES = {
    "BOOL": np.array([[True, False, True]]),
    **{name: np.array([[info.min, 1, info.max]], dtype=info.dtype) for name, info in INTEGERS.items()},
    "FP16": np.array([[-1.5, 6e-8, 65504]], dtype=np.float16),
    "BF16": np.array([[-1.5, 1e-30, 3e38]], dtype=ml_dtypes.bfloat16),
    "FP32": np.array([[-1.5, 1e-40, 3.4028235e38]], dtype=np.float32),
    "FP64": np.array([[0.1, 5e-324, -1.7976931348623157e308]], dtype=np.float64),
    "BYTES": np.array([["", 'a\nb "quoted"', "naïve 🌊"]], dtype=object),
}
NOT_IN_JSON = ("FP16", "BF16")


def text_of(value: bytes | str) -> str:
    """BYTES come back as bytes in binary form and as text in JSON."""
    return value.decode() if isinstance(value, bytes) else value
