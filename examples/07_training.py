#!/usr/bin/env python3
"""Training on encrypted images in Python: a linear classifier learns from images and labels that the server cannot see.

    07_training.py TRAINED.onnx [MNIST]

MNIST is a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte (or .gz); its digits are scaled down to 7 x 7.
Without it the images are made up. Needs PyTorch, 5 GB of memory and a minute, for MNIST five.
"""
import gzip
import pathlib
import sys
import tempfile

import numpy as np
import sotto
import torch


def made_up(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 4 x 4, in which one of the first three rows is bright, with noise."""
    rng = np.random.default_rng(1)
    labels, images = rng.integers(0, 3, count), rng.integers(0, 100, (count, 1, 4, 4))
    images[np.arange(count), 0, labels] += 100
    return images.astype(np.uint8), labels


def mnist(folder: pathlib.Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first digits of the training images, 7 x 7: every pixel the mean of 4 x 4."""
    def read(name: str, header: int) -> np.ndarray:
        path = folder / name
        data = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
        return np.frombuffer(data, np.uint8, offset=header)

    images = read("train-images-idx3-ubyte", 16).reshape(-1, 1, 7, 4, 7, 4)[:count]
    return images.mean(axis=(3, 5)).astype(np.uint8), read("train-labels-idx1-ubyte", 8)[:count].astype(int)


def accuracy(network: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    with torch.no_grad():
        found = network(torch.from_numpy(images / np.float32(255))).argmax(1).numpy()
    return float(np.mean(found == labels))


def train(images: np.ndarray, labels: np.ndarray, spec: dict, work: pathlib.Path):
    """Both sides in one process. Returns the plan, the owner, what the training made, and the same in the clear."""
    # The owner of the network, who computes, plans the training.
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(images[0].size, labels.max() + 1))
    plan = sotto.compile_training(network, spec, input_shape=images.shape[1:], mean=0, std=1, name="linear")
    print(plan.describe())

    # The owner of the images looks first whether rate and range are right, in the clear; then encrypts.
    twin = plan.simulate(images, labels)
    print(f"in the clear the largest weight is {twin.largest_weight:.2f}, {plan.range:g} is allowed")
    client = sotto.TrainingClient.create(plan.client_spec)
    query = client.encrypt(images, labels)
    keys = client.make_evaluation_keys(work / "eval.key")  # they are large: a file

    # Whoever computes sees ciphertexts only.
    trainer = sotto.Trainer(plan)
    reply = trainer.train(query, keys)
    print(f"{trainer.report.steps} steps in {trainer.report.compute_seconds:.0f} s")

    # The owner of the images decrypts a network.
    result = client.decrypt(reply)
    for step, (loss, clear) in enumerate(zip(result.losses, twin.losses), 1):
        print(f"step {step}: loss {loss:.5f}, in the clear {clear:.5f}")
    before = accuracy(network, images, labels)
    result.load_into(network)
    print(f"{before:.1%} of these labels were right, now {accuracy(network, images, labels):.1%} are")
    return plan, client, reply, result, twin


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: 07_training.py TRAINED.onnx [MNIST]")
    if len(sys.argv) == 3:
        (images, labels), spec = mnist(pathlib.Path(sys.argv[2]), 2048), dict(steps=10, batch=512, rate=0.3, momentum=0.9)
    else:
        (images, labels), spec = made_up(64), dict(steps=2, batch=64, rate=0.4, momentum=0.9)
    with tempfile.TemporaryDirectory() as work:
        result = train(images, labels, spec, pathlib.Path(work))[3]
    result.save(sys.argv[1])
    print(f"wrote {sys.argv[1]}")


if __name__ == "__main__":
    main()
