import numpy as np


class Place:
    """A transformation: three columns of axes, one of the origin."""

    def __init__(self, matrix):
        self.matrix = np.array(matrix, np.float64)
        assert self.matrix.shape == (3, 4)

    def __mul__(self, points):
        return np.asarray(points) @ self.matrix[:, :3].T + self.matrix[:, 3]


class Places(list):
    """Several of them."""
