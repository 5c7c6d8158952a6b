"""Results in the suite's shape, and the table of all sizes."""

BYTES = (("Public and evaluation keys", "eval_key_bytes"), ("Encrypted input", "input_bytes"), ("Encrypted results", "output_bytes"))


def readable(size):
    """Bytes as the suite writes them: 1024 to a unit, one decimal."""
    for unit in "BKMG":
        if size < 1024:
            return f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def suite_page(row):
    """What the suite's harness stores as results-1.json for a row; without the accuracy of its own network, which is not run."""
    page = {"model_name": row["model"], "dataset_name": row["dataset"],
            "Timing": {name: f"{round(s, 4)}s" for name, s in {**row["timing"], "Total": sum(row["timing"].values())}.items()},
            "Bandwidth": {name: readable(row[key]) for name, key in (("Cryptographic Context", "context_bytes"), *BYTES)
                          if key in row}}
    if row["images"] > 1:
        page["Quality"] = {"Encrypted model quality": {"correct_predictions": row["correct"], "total_samples": row["images"],
                                                       "accuracy": row["correct"] / row["images"]}}
    page["Server Reported"] = {name: f"{s}s" for name, s in row["server_reported"].items()}
    return page


def good_enough(row, least):
    """The suite's bar: the label of a single image, and at least this share of those of a batch."""
    return row["correct"] >= (row["images"] * least if row["images"] > 1 else 1)


def markdown(rows, least):
    """One column for every size that is done."""
    def line(name, cells):
        return f"| {name} | {' | '.join(cells)} |"

    def times(name, of):
        values = [of(r) for r in rows]
        return [line(name, ["" if v is None else f"{v:.2f} s" for v in values])] if any(v is not None for v in values) else []

    def timed(key, name):
        return lambda r: r[key].get(name)

    lines = [line("", [f"{r['size']}, {r['images']:,}" for r in rows]), "|---" * (len(rows) + 1) + "|"]
    lines += times("compiling the network, once", timed("server_reported", "Model compilation (once)"))
    for name in dict.fromkeys(n for r in rows for n in r["timing"]):
        lines += times(name, timed("timing", name))
        if name == "Encrypted computation":
            for part, key in (("of that computing", "Encrypted computation"), ("reading and checking files", "Read time"),
                              ("writing files", "Write time"), ("to the server", "Upload time"), ("from the server", "Download time")):
                lines += times(f"... {part}", timed("server_reported", key))
    lines += times("total", lambda r: sum(r["timing"].values()))
    lines += [line("computing per image", [f"{r['timing']['Encrypted computation'] / r['images']:.3g} s" for r in rows])]
    lines += [line(name, [f"{r[key]:,} bytes" for r in rows]) for name, key in BYTES]
    lines += [line("peak memory of computing", [f"{r['peak_rss_bytes'] / 1e9:.1f} GB" for r in rows]),
              line("labels that are right", [f"{r['correct']} of {r['images']} ({100 * r['correct'] / r['images']:.2f} %)" for r in rows]),
              *([line("different images among them", [f"{r['different_images']:,}" for r in rows])]
                if any(r["different_images"] < r["images"] for r in rows) else []),
              line("marked as doubtful", [str(len(r["doubtful"])) for r in rows]),
              line("enough for the suite", ["yes" if good_enough(r, least) else "no" for r in rows])]
    return "\n".join(lines) + "\n"
