"""What functions lack for frames, and the FSC of frames, against those of frames that are made one by one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from nmap.axis import Axis
from nmap.fit.dense.shell_error import ShellError
from nmap.fit.options import EncodeOptions
from nmap.fit.series.frame_errors import FrameErrors
from nmap.fit.target.prepare import prepare
from nmap.grid import Grid
from nmap.maps import DensityMap

GRID = Grid((16, 14, 15), (2.0,) * 3)
CPU = torch.device("cpu")
AXIS = Axis((0.0, 0.2, 0.5, 1.0))
COMPONENTS = 2


def test_they_are_those_of_every_frame_alone() -> None:
    rng = np.random.default_rng(3)
    options = EncodeOptions(resolution=5.0, mask="none", symmetry="C1")
    targets = [
        prepare(DensityMap(rng.normal(size=GRID.shape).astype(np.float32), GRID), options) for _ in AXIS.at
    ]
    functions = AXIS.at_frames(COMPONENTS)
    alone = [ShellError(target, CPU) for target in targets]
    together = FrameErrors(targets, functions, alone[0], CPU)
    size = (COMPONENTS, len(alone[0].wanted))
    modes = rng.normal(size=size) + 1j * rng.normal(size=size)
    frames = [torch.from_numpy((row @ modes).astype(np.complex64)) for row in functions]
    given = torch.from_numpy(modes.astype(np.complex64))
    assert_allclose(together.fsc(given), [e.fsc(f) for e, f in zip(alone, frames, strict=True)], atol=1e-6)
    # A frame that is weak beside the functions.
    faint = torch.stack([given[0], given[0] * (1e-4 - functions[0, 0]) / functions[0, 1]])
    whole = torch.from_numpy((functions[0] @ faint.numpy()).astype(np.complex64))
    assert_allclose(together.fsc(faint)[0], alone[0].fsc(whole), atol=1e-2)

    weights = rng.uniform(0.5, 2, (len(frames), targets[0].last + 1))
    lacks = [
        ((error.wanted - frame) * error.spread(weight)).numpy()
        for error, frame, weight in zip(alone, frames, weights, strict=True)
    ]
    nearest = np.linalg.lstsq(functions, np.array(lacks), rcond=None)[0]
    scale = np.abs(nearest).max()
    assert_allclose(together.lacking(given, weights), nearest, atol=1e-5 * scale)
    assert_allclose(
        together.lacking(given), together.lacking(given, np.ones_like(weights)), atol=1e-5 * scale
    )
    assert (together.counted == [error.counted for error in alone]).all()
