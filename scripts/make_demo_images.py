#!/usr/bin/env python3
"""Makes models/demo: 32x32 photos of the ten CIFAR-10 classes from Debian's package tuxpaint-stamps-default.

usage: make_demo_images.py STAMPS_FOLDER OUT_FOLDER      (STAMPS_FOLDER is .../tuxpaint/stamps of the unpacked package)

Every picture is cropped to its subject, set on a light ground, and scaled down. Needs python3-pil.
"""
import pathlib
import sys

from PIL import Image

PICTURES = {
    "airplane": ["vehicles/flight/planes/747.png", "military/vehicles/f22_raptor.png"],
    "automobile": ["vehicles/auto/beetle.png", "vehicles/auto/sportscar2.png", "vehicles/auto/sedan.png", "vehicles/race/indycar.png"],
    "bird": ["animals/birds/blackbird.png", "animals/birds/pigeon.png", "animals/birds/lark.png", "animals/birds/ostrich.png"],
    "cat": ["seasonal/halloween/blackcat.png"],
    "deer": ["animals/mammals/deer/deer.png", "animals/mammals/deer/doe.png", "animals/mammals/deer/caribou.png"],
    "dog": ["animals/mammals/dogs/dog.png", "animals/mammals/dogs/dingo.png"],
    "frog": ["animals/amphibians/frog.png", "animals/amphibians/frog-1.png"],
    "horse": ["animals/mammals/equines/horse.png"],
    "ship": ["vehicles/ship/chineseJunk.png", "vehicles/ship/walnutBoat.png"],
    "truck": ["vehicles/auto/truck.png", "vehicles/garbagetruck.png", "vehicles/emergency/firetruck.png"],
}
GROUND = (228, 230, 226)
SIDE = 32


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    stamps, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for label, names in PICTURES.items():
        for number, name in enumerate(names, 1):
            stamp = Image.open(stamps / name).convert("RGBA")
            stamp = stamp.crop(stamp.getchannel("A").getbbox())
            side = int(max(stamp.size) * 1.1)
            square = Image.new("RGBA", (side, side), GROUND + (255,))
            square.alpha_composite(stamp, ((side - stamp.width) // 2, (side - stamp.height) // 2))
            square.convert("RGB").resize((SIDE, SIDE), Image.LANCZOS).save(out / f"{label}-{number}.png", optimize=True)


if __name__ == "__main__":
    main()
