#!/usr/bin/env python3
"""Pictures of coloured shapes, for 05_pictures.ipynb and to train the network that it uses, shapes.onnx.

    shapes.py FOLDER        writes FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png (needs python3-pil)
"""
from __future__ import annotations

import pathlib
import sys

import numpy as np

CLASSES = ["cross", "disc", "ring", "square", "triangle"]
SIDE = 20


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether points belong to a shape that fills the unit circle."""
    distance = np.hypot(u, v)
    if shape == "cross":
        return np.minimum(abs(u), abs(v)) < 0.3
    if shape == "disc":
        return distance < 0.9
    if shape == "ring":
        return (distance > 0.5) & (distance < 1)
    if shape == "square":
        return np.maximum(abs(u), abs(v)) < 0.8
    corners = np.pi * np.array([1 / 2, 7 / 6, 11 / 6])
    return np.max([u * np.cos(a) + v * np.sin(a) for a in corners], axis=0) < 0.5


def picture(shape: str, rng: np.random.Generator) -> np.ndarray:
    """uint8 [3, SIDE, SIDE]: the shape in some place, size, turn and colour on a background of another, with noise."""
    size, turn = rng.uniform(0.3, 0.45) * SIDE, rng.uniform(-0.4, 0.4)
    row, column = rng.uniform(size, SIDE - size, 2) - 0.5
    y, x = (np.indices((SIDE, SIDE)) - np.array([row, column])[:, None, None]) / size
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    inside = _inside(shape, u, v) & (np.hypot(u, v) < 1.2)
    colour = ground = rng.uniform(20, 236, 3)
    while np.linalg.norm(colour - ground) < 100:
        colour = rng.uniform(20, 236, 3)
    pixels = np.where(inside, colour[:, None, None], ground[:, None, None]) + rng.normal(0, 10, (3, SIDE, SIDE))
    return pixels.clip(0, 255).astype(np.uint8)


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [count, 3, SIDE, SIDE] and their classes [count], as numbers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    return np.stack([picture(CLASSES[k], rng) for k in labels]), labels


def main() -> None:
    from PIL import Image
    for part, count, seed in (("train", 10000, 1), ("test", 1000, 2)):
        for k, (pixels, label) in enumerate(zip(*pictures(count, seed))):
            folder = pathlib.Path(sys.argv[1], part, CLASSES[label])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{k}.png")


if __name__ == "__main__":
    main()
