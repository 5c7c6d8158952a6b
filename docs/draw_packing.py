#!/usr/bin/env python3
"""Draws docs/packing.svg, the picture of docs/packing.md: a small packing with tile 4, places for 2 channels and 2 images.

usage: docs/draw_packing.py [FILE]        (default docs/packing.svg; - for the standard output)
"""
import pathlib
import sys

TILE, GROUP, BATCH = 4, 2, 2  # T, G and images: 64 slots
CELL, LEFT, WIDTH = 26, 20, 860
COLOURS = ["#f6c66b", "#8fc7ee", "#8fd6b4", "#eda6c4"]  # by phase
INK, MUTED, EMPTY, MARK = "#1c2430", "#68707c", "#eef0f3", "#c0262d"
SHOWN = (5, 2, 1, 1)  # row, column, channel, image of the pixel that the picture follows


def place_of(y, x, phases, gap):
    """Phase and tile position of a pixel: plan::place_of of src/plan/schedule.cpp."""
    cy, cx = y * gap, x * gap
    return cy % phases * phases + cx % phases, cy // phases * TILE + cx // phases


def slot_of(image, place, position):
    return (image * GROUP + place) * TILE * TILE + position


def text(x, y, words, size=13, anchor="start", colour=INK, weight="normal"):
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">{words}</text>'


def box(x, y, colour, words="", width=CELL, height=CELL, mark=False):
    edge = f'stroke="{MARK}" stroke-width="2.5"' if mark else 'stroke="#ffffff"'
    label = text(x + width / 2, y + height / 2 + 4, words, 11, "middle") if words else ""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}" {edge}/>{label}'


def grid(x, y, cells, columns):
    """Rows of boxes; a cell is (colour, words, mark). Marked ones are drawn last, above the others."""
    drawn = sorted(range(len(cells)), key=lambda k: cells[k][2])
    return [box(x + k % columns * CELL, y + k // columns * CELL, *cells[k][:2], mark=cells[k][2]) for k in drawn]


def map_and_tiles(x, y, size, phases, gap, tile_x, tile_y, shown=None):
    """A map at (x, y) and its tiles, one for each phase, from (tile_x, tile_y) on. Pixels are named by row and column."""
    pixels, tiles = [], [[(EMPTY, "", False)] * (TILE * TILE) for _ in range(phases * phases)]
    for row in range(size):
        for column in range(size):
            phase, position = place_of(row, column, phases, gap)
            cell = (COLOURS[phase], f"{row}{column}", (row, column) == shown)
            pixels.append(cell)
            tiles[phase][position] = cell
    out = grid(x, y, pixels, size)
    for phase, cells in enumerate(tiles):
        at = tile_x + phase * (TILE * CELL + 24)
        out += [text(at, tile_y - 8, f"phase {phase}", colour=MUTED)] + grid(at, tile_y, cells, TILE)
    return out


def ciphertext(y, block, channels, phase):
    """The 64 slots of a block of channels, one phase, as a row."""
    width = (WIDTH - 2 * LEFT - 80) / (BATCH * GROUP * TILE * TILE)
    out = [text(LEFT, y + 17, f"block {block}")]
    marked = []
    for image in range(BATCH):
        for place in range(GROUP):
            channel = block * GROUP + place
            for position in range(TILE * TILE):
                slot = slot_of(image, place, position)
                mark = (channel, image) == SHOWN[2:] and place_of(*SHOWN[:2], 2, 1) == (phase, position)
                (marked if mark else out).append(box(LEFT + 80 + slot * width, y, COLOURS[phase] if channel < channels else EMPTY, width=width, mark=mark))
            start = LEFT + 80 + slot_of(image, place, 0) * width
            middle = start + TILE * TILE * width / 2
            out.append(text(middle, y - 7, f"channel {channel}" if channel < channels else "zeros", 12, "middle"))
            out.append(text(start, y + CELL + 14, slot_of(image, place, 0), 11, colour=MUTED))
            if block == 0:
                out.append(text(middle, y - 24, f"image {image}, place {place}", 12, "middle", MUTED))
    return out + marked


def picture():
    row, column, channel, image = SHOWN
    phase, position = place_of(row, column, 2, 1)
    slot = slot_of(image, channel % GROUP, position)
    title = lambda y, words: text(LEFT, y, words, 15, weight="bold")
    out = [title(30, "1. A map of 8 x 8 pixels becomes 2 x 2 phases (gap 1), each a tile of 4 x 4 positions")]
    out += map_and_tiles(LEFT, 66, 8, 2, 1, 300, 118, (row, column))
    out += [text(300, 246, "Each colour is a ciphertext of its own. Neighbouring pixels lie in different ones,", 13, colour=MUTED),
            text(300, 264, "at the same position or the next.", 13, colour=MUTED)]
    top = 320
    out += [title(top, f"2. Phase {phase} of 2 images with 3 channels: two ciphertexts of 64 slots")]
    out += ciphertext(top + 56, 0, 3, phase) + ciphertext(top + 126, 1, 3, phase)
    out += [text(LEFT + 80, top + 186, f"Marked: row {row}, column {column} of channel {channel} of image {image}: position {position}, place {channel % GROUP}, "
                 f"slot ({image} x {GROUP} + {channel % GROUP}) x 16 + {position} = {slot}", 13, colour=MARK)]
    top = 546
    out += [title(top, "3. The map after a stride of 2 (one phase, gap 1) and after another (one phase, gap 2)")]
    out += map_and_tiles(LEFT, top + 40, 4, 1, 1, 150, top + 40)
    out += map_and_tiles(440, top + 40, 2, 1, 2, 520, top + 40)
    out += [text(650, top + 72, "Empty positions", 13, colour=MUTED), text(650, top + 90, "mean nothing.", 13, colour=MUTED)]
    height = top + 40 + TILE * CELL + 20
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
                      'font-family="sans-serif" role="img" aria-label="How pixels of a small network lie in the slots of ciphertexts">',
                      f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>', *out, "</svg>"]) + "\n"


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else str(pathlib.Path(__file__).with_name("packing.svg"))
    if target == "-":
        sys.stdout.write(picture())
    else:
        pathlib.Path(target).write_text(picture())


if __name__ == "__main__":
    main()
