"""The Markdown page of batches.py."""


def gigabytes(value):
    return "-" if value is None else f"{value / 1e9:.1f} GB"


def megabytes(value):
    return "-" if value is None else f"{value / 1e6:.0f} MB"


def percent(value):
    return "-" if value is None else f"{100 * value:.2f} %"


def table(heads, rows):
    # A bar would end a cell.
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), *lines]) + "\n"


def result_table(rows):
    heads = ["images", "memory limit", "threads", "whole run", "per image", "measured / predicted", "peak memory", "predicted",
             "agreement", "accuracy", "packing", "runs", "keys / input / output", "other work"]
    cells = []
    for r in rows:
        first = [f"{r['count']:,}", r["memory"] or "-", r["threads"]]
        if r["state"] != "done":
            cells.append([*first, f"{r['state']}: {r['reason']}"] + [""] * (len(heads) - 4))
            continue
        cells.append([*first, f"{r['wall_seconds']:.1f} s", f"{r['amortized_seconds_per_image']:.3g} s",
                      f"{r['measured_over_predicted']:.2f}", gigabytes(r["peak_rss_bytes"]), gigabytes(r["predicted_peak_bytes"]),
                      percent(r["label_agreement"]), percent(r["accuracy"]),
                      f"{r['batch']:,} x {r['group']}, tile {r['tile'][0]}x{r['tile'][1]}", r["batches"],
                      " / ".join(megabytes(r[name]) for name in ("eval_key_bytes", "input_bytes", "output_bytes")),
                      f"{100 * r['other_work']:.0f} %"])
    return table(heads, cells)


def speed_ups(rows):
    """Threads against the fewest threads, for every number of images that was measured with several numbers of threads."""
    groups = {}
    for r in rows:
        if r["state"] == "done":
            groups.setdefault((r["count"], r["memory"]), []).append(r)
    cells = []
    for (count, memory), group in groups.items():
        least = min(group, key=lambda r: r["threads"])
        cells += [[f"{count:,}", memory or "-", r["threads"], f"{r['wall_seconds']:.1f} s",
                   f"{least['wall_seconds'] / r['wall_seconds']:.2f}"] for r in group if len(group) > 1]
    return table(["images", "memory limit", "threads", "whole run", "times as fast"], cells) if cells else ""


def markdown(page):
    """page: {"setup": ..., "runs": [...]} as batches.json holds it."""
    s, rows = page["setup"], page["runs"]
    kernels = sorted({r["cpu_kernels"] for r in rows if r["state"] == "done"})
    memory = f"{s['memory_bytes'] / 2**30:.0f} GiB" if s["memory_bytes"] else "unknown"
    text = f"# {s['model']} on {', '.join(s['data'])}\n\n" \
           f"{s['cpu']}, {s['cores']} cores, {memory} of memory, kernels {', '.join(kernels) or '-'}, " \
           f"commit {s['commit'] or 'unknown'}.\n\n" + result_table(rows) + \
        "\nPer image: the whole run over its images. Packing: images and channels of each in a ciphertext. Other work: the share " \
        "of the machine's processor time that other programs took; where it is not small, times are too long.\n"
    faster = speed_ups(rows)
    return text + ("\n## Threads\n\n" + faster if faster else "")
