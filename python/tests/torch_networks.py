"""A small network of each kind, compiled once for all tests."""
from __future__ import annotations

import pathlib

import numpy as np
import pytest

sotto = pytest.importorskip("sotto")
torch = pytest.importorskip("torch")

CLASSES = ["cat", "dog", "ship"]
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.25, 0.2]


class Square(torch.nn.Module):
    def forward(self, x):
        return x * x


class Small(torch.nn.Module):
    """A convolution, batch normalisation, a square, a mean, a dense layer."""

    def __init__(self, last: torch.nn.Module | None = None):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), last or Square())
        self.head = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)


def preprocessed(images: np.ndarray) -> np.ndarray:
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (MEAN, STD))
    return (images.astype(np.float32) / 255 - mean) / std


def exact(network: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    network.eval()
    with torch.no_grad():
        return network(torch.from_numpy(preprocessed(images))).numpy()


@pytest.fixture(scope="session")
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return Small().eval()


@pytest.fixture(scope="session")
def model(network):
    return sotto.compile(network, batch=4, calibrate=pixels(64), mean=MEAN, std=STD, classes=CLASSES, name="small")


@pytest.fixture(scope="session")
def client(model):
    return sotto.Client.create(model.client_spec)


@pytest.fixture(scope="session")
def server(model):
    return sotto.Server(model)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path
