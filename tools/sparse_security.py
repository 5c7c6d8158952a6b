#!/usr/bin/env python3
"""Estimates the cost of the known attacks on LWE with a sparse ternary secret, in bits.

usage: sparse_security.py [--check | --least-weight | --set LOG2_N H LOG2_Q]

Without options: the table of docs/adr/0016. --check compares with published values, --least-weight looks for the smallest
weights with 128 bits. Errors have standard deviation 3.19, and the attacker has as many samples as needed.

An attack keeps x of the n columns in a lattice and guesses the secret outside, at most w nonzero entries. The h nonzero
entries fall inside and outside with a hypergeometric probability; an attack that fails starts again with other columns.

    BKZ-b in dimension d   the cheaper of 8 d 2^(0.292 b + 16.4) (BDGL16) and 5.46^2 (d - b) 2^(0.296 b' + 20.39) (MATZOV),
                           b' = b - b ln(4/3) / ln(b / 2 pi e); both classical, b >= 50
    shape of the basis     geometric series, delta = ((pi b)^(1/b) b / (2 pi e))^(1 / (2 b - 2))
    drop                   w = 0, the secret is zero outside; primal uSVP with the condition of ePrint 2017/815
    dual                   guesses tried one by one on 2^(0.2075 b) short dual vectors per reduction (ePrint 2020/515)
    primal MITM            nearest plane for the square root of the number of guesses (Howgrave-Graham, Crypto 2007)
    dual MITM              the same by near collisions among LWE samples of dimension n - x (ePrint 2019/1114)
    Meet-LWE               primal MITM with the representations of ePrint 2021/216, in the spirit of ePrint 2022/1473

Three ways to count, memory is free in all:

    model    d^2 / 2 operations per nearest plane, one per sample of a dual guess; the two halves of a guess meet with the
             probability of ePrint 2019/1019; no Meet-LWE
    floor    one operation per guess, whose halves always meet; Meet-LWE as if there were no errors to round
    rotated  floor, and one reduction serves n targets: in Z[X]/(X^n + 1) the n secrets X^i s share one lattice. The
             conjugate-invariant ring has no roots of unity but 1 and -1, so this does not concern it.
"""
import argparse
import collections
import functools
import math
import sys

SIGMA = 3.19
LN2 = math.log(2)
NEVER = 1e9
STEP = 0.01  # of the tables over ln(length / sigma)
Count = collections.namedtuple("Count", "name floor rotated")
MODEL, FLOOR, ROTATED = Count("model", False, False), Count("floor", True, False), Count("rotated", True, True)
Found = collections.namedtuple("Found", "bits block weight columns")


def log2_binomial(n, k):
    if k < 0 or k > n:
        return -NEVER
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / LN2


def log2_sum(*terms):
    top = max(terms)
    return top + math.log2(sum(2.0 ** (t - top) for t in terms))


@functools.cache
def ln_delta(beta):
    return math.log((math.pi * beta) ** (1 / beta) * beta / (2 * math.pi * math.e)) / (2 * beta - 2)


def bkz(beta, d):
    """log2 of the cost of one reduction."""
    free = beta - max(0.0, beta * math.log(4 / 3) / math.log(beta / (2 * math.pi * math.e)))
    return min(0.292 * beta + 16.4 + math.log2(8 * d), 0.296135 * free + 20.387886 + math.log2(5.46 ** 2 * max(d - beta, 1)))


def log2_probability(n, h, x, w):
    """At most w of the h nonzero entries lie outside x of n columns."""
    terms = []
    for inside in range(h - w, h + 1):
        terms.append(log2_binomial(x, inside) + log2_binomial(n - x, h - inside))
        if terms[-1] < max(terms) - 20:
            break
    return min(0.0, log2_sum(*terms) - log2_binomial(n, h))


def log2_guesses(zeta, w):
    return log2_binomial(zeta, w) + w


class Lengths:
    """Sums of log2 p(length / sigma) over a geometric series of lengths, as integrals from a table."""

    def __init__(self, p, lowest):
        self.lowest = lowest
        self.value = [-math.log2(p(math.exp(lowest + i * STEP))) for i in range(int(9 / STEP))]
        self.tail = [0.0]
        for v in reversed(self.value):
            self.tail.append(self.tail[-1] + v * STEP)
        self.tail.reverse()

    def log2(self, shortest, slope, count):
        """shortest: ln(length / sigma) of the last vector; each before it is longer by exp(slope)."""
        first = int((shortest - self.lowest) / STEP)
        if first < 0:
            return -NEVER
        last = min(len(self.value) - 1, first + int(slope * count / STEP))
        if first >= last:
            return 0.0
        return -(self.tail[first] - self.tail[last]) / slope - self.value[first] / 2


# An error of one sigma stays within half the length; and it does not push one of two halves over an edge.
NEAREST = Lengths(lambda r: max(math.erf(r / 8 ** 0.5), 1e-300), -2.0)
MEETING = Lengths(lambda r: math.erf(r / 8 ** 0.5) * (1 - (2 / math.pi) ** 0.5 / r), 0.0)


def lattice(logq, x, inside, beta):
    """ln(q / scale) of the kept part and the dimension, both best for the attacker."""
    ratio = logq * LN2 - math.log(SIGMA) + 0.5 * math.log(max(inside, 1) / x)
    return ratio, max(math.sqrt(x * ratio / ln_delta(beta)), x)


@functools.cache
def representations(zeta, w):
    """log2 of time and space of Meet-LWE for w nonzero entries out of zeta, half of each sign: best of trees of depth 0 to 3."""

    def signs(n, a):
        return (math.lgamma(n + 1) - 2 * math.lgamma(a + 1) - math.lgamma(n - 2 * a + 1)) / LN2

    best = signs(zeta, w / 2) / 2

    def deeper(weight, lower, cost, depth):
        # weight: entries of each sign in the vectors of this level; lower: log2 of the representations used up here.
        nonlocal best
        for extra in range(13 if depth < 2 else 5):
            half = weight / 2 + extra
            if 2 * (weight + extra) > zeta:
                break
            used = 2 * (math.lgamma(weight + 1) - 2 * math.lgamma(weight / 2 + 1)) / LN2 + signs(zeta - 2 * weight, extra)
            if depth and used > lower:
                break
            vectors = signs(zeta, half) - used
            now = max(cost, vectors, 2 * vectors - (lower - used) if depth else vectors)
            best = min(best, max(now, signs(zeta, half) / 2))
            if depth < 2 and now < best:
                deeper(half, used, now, depth + 1)

    deeper(w / 2, 0.0, 0.0, 0)
    return best


def total(n, count, reduction, search, chance):
    """log2 of the whole cost: reductions and searches until one succeeds."""
    fresh = -chance - (math.log2(n) if count.rotated else 0)
    return log2_sum(reduction + max(0.0, fresh), search - chance)


def drop(n, h, logq, beta, w, x, count):
    if w:
        return NEVER
    ratio, d = lattice(logq, x, h, beta)
    shortest = logq * LN2 - 2 * math.sqrt(x * ratio * ln_delta(beta)) + (2 * beta - 1) * ln_delta(beta)
    if shortest < math.log(SIGMA) + 0.5 * math.log(beta):
        return NEVER
    return total(n, count, bkz(beta, d), 0, log2_probability(n, h, x, 0))


def primal(n, h, logq, beta, w, x, count, search):
    ratio, d = lattice(logq, x, h - w, beta)
    shortest = logq * LN2 - 2 * math.sqrt(x * ratio * ln_delta(beta)) - math.log(SIGMA)
    met = (NEAREST if count.floor else MEETING).log2(shortest, 2 * ln_delta(beta), d)
    if met <= -NEVER:
        return NEVER
    search += 0 if count.floor else 2 * math.log2(d) - 1
    return total(n, count, bkz(beta, d), search, log2_probability(n, h, x, w) + met)


def primal_mitm(n, h, logq, beta, w, x, count):
    return primal(n, h, logq, beta, w, x, count, log2_guesses(n - x, w) / 2)


def meet_lwe(n, h, logq, beta, w, x, count):
    if not count.floor:
        return NEVER
    fewer = 2 ** (int(32 * math.log2(n - x + 1)) / 32)  # rounded down, so that few trees are searched
    return primal(n, h, logq, beta, w, x, count, representations(fewer, w) if w else 0)


def dual_width(logq, beta, w, x, h):
    """log2 of the standard deviation of the error in new samples, over q; and the dimension."""
    ratio, d = lattice(logq, x, h - w, beta)
    return (math.log(SIGMA) + 2 * math.sqrt(x * ratio * ln_delta(beta))) / LN2 - logq, d


def dual_mitm(n, h, logq, beta, w, x, count):
    width, d = dual_width(logq, beta, w, x, h)
    guesses = log2_guesses(n - x, w)
    deviations = 2 if count.floor else 3
    filtered = -width - 1 - math.log2(deviations)  # bits by which one sample sorts out pairs that do not belong together
    if filtered < 1:
        return NEVER
    samples = max(1.0, guesses / filtered)
    chance = log2_probability(n, h, x, w)
    if not count.floor:
        chance += samples * math.log2(math.erf(deviations / 2 ** 0.5) * (1 - (2 / math.pi) ** 0.5 * 2 ** (width + 1)))
    return total(n, count, bkz(beta, d), guesses / 2 + (0 if count.floor else math.log2(samples)), chance)


def dual(n, h, logq, beta, w, x, count):
    width, d = dual_width(logq, beta, w, x, h)
    width += 0.5 * math.log2(4 / 3)  # what a sieve returns is longer than the shortest vector
    if width > 1:
        return NEVER
    guesses = log2_guesses(n - x, w)
    samples = 4 * math.pi ** 2 * 4 ** width / LN2 + math.log2(2 * LN2 * (guesses + 1))
    search = log2_sum(samples, guesses + (0 if count.floor else samples))
    return total(n, count, bkz(beta, d) + max(0.0, samples - 0.2075 * beta), search, log2_probability(n, h, x, w))


ATTACKS = {"drop": drop, "dual": dual, "primal MITM": primal_mitm, "dual MITM": dual_mitm, "Meet-LWE": meet_lwe}


def best_columns(attack, n, h, logq, beta, w, count):
    """Golden section over log2 x: the cost falls as columns join the lattice, until the reduction is too weak for them."""

    def at(p):
        return attack(n, h, logq, beta, w, int(2 ** p), count)

    low, high = math.log2(max(16, h - w + 1)), math.log2(n - w)
    best = (attack(n, h, logq, beta, w, n - w, count), n - w)
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    cost_left, cost_right = at(left), at(right)
    for _ in range(24):
        if cost_left <= cost_right:
            best = min(best, (cost_left, int(2 ** left)))
            high, right, cost_right = right, left, cost_left
            left = high - ratio * (high - low)
            cost_left = at(left)
        else:
            best = min(best, (cost_right, int(2 ** right)))
            low, left, cost_left = left, right, cost_right
            right = low + ratio * (high - low)
            cost_right = at(right)
    return best


@functools.cache
def estimate(name, n, h, logq, count):
    """The cheapest parameters of an attack: a coarse search, then finer ones around the best."""
    attack, found = ATTACKS[name], Found(NEVER, 0, 0, 0)

    def search(blocks, weights):
        nonlocal found
        for beta in blocks:
            if bkz(beta, beta + 100) > found.bits:
                break
            for w in [0] if attack is drop else weights:
                cost, x = best_columns(attack, n, h, logq, beta, w, count)
                found = min(found, Found(cost, beta, w, x))

    search(range(50, 1001, 10), range(0, min(h, 120) + 1, 3))
    for step in (4, 2, 1):
        search(sorted({max(50, found.block + i * step) for i in range(-3, 4)}),
               sorted({min(h, max(0, found.weight + i)) for i in range(-2, 3)}))
    return found


def bits(n, h, logq, count, names=tuple(ATTACKS)):
    return min(estimate(name, n, h, logq, count).bits for name in names)


def show(log_n, h, logq):
    for count in (MODEL, FLOOR, ROTATED):
        cells = []
        for name in ATTACKS:
            found = estimate(name, 2 ** log_n, h, logq, count)
            cells.append("-" if found.bits >= NEVER else f"{found.bits:.1f} ({found.block}, {found.weight}, {found.columns})")
        least = bits(2 ** log_n, h, logq, count)
        print(f"| 2^{log_n} | {h} | {logq:g} | {count.name} | {least:.1f} | {' | '.join(cells)} |", flush=True)


def show_all(sets):
    print("bits (block size b, guessed weight w, columns x in the lattice)")
    print("| n | h | log2 q | count | least | " + " | ".join(ATTACKS) + " |")
    for log_n, h, logq in sets:
        show(log_n, h, logq)


# Published values, all from malb/lattice-estimator in its default cost model (MATZOV): log2 n, (h,) log2 q, bits. DENSE: ePrint
# 2024/463, whose rows reach 128 bits with a little to spare; the last two, and h = 31: GitHub, coo001/capstone2,
# research/ship/security/estimator-results.txt; other weights: HomomorphicEncryption/SparseLWEkit, src/data/*.csv.
DENSE = [(12, 106, 128), (13, 214, 128), (14, 430, 128), (15, 868, 128), (16, 1747, 128), (17, 3523, 128), (15, 881, 126.1),
         (15, 827, 134.7)]
SPARSE = [
    (13, 31, 42, {"primal MITM": 129.8}), (13, 31, 55, {"primal MITM": 121.4}), (13, 31, 110, {"primal MITM": 99.6}),
    (13, 31, 218, {"primal MITM": 78.1}), (14, 31, 88, {"primal MITM": 130.2}), (14, 31, 100, {"primal MITM": 126.2}),
    (14, 31, 160, {"primal MITM": 111.6}), (15, 31, 105, {"primal MITM": 148.7}),
    (16, 32, 117, {"primal MITM": 172.9, "dual MITM": 164.58, "dual": 196.31}), (16, 32, 121, {"primal MITM": 171.9}),
    (16, 128, 300, {"primal MITM": 326.9, "dual MITM": 321.96}), (17, 128, 2341, {"primal MITM": 158.9, "dual MITM": 157.19}),
    (15, 192, 767, {"primal MITM": 134.1, "dual MITM": 135.48}), (16, 192, 1555, {"primal MITM": 133.8, "dual MITM": 134.06}),
]


def check():
    print("| n | h | log2 q | attack | published | here (model) | difference |")
    for log_n, logq, published in DENSE:
        here = estimate("drop", 2 ** log_n, 2 ** (log_n + 1) // 3, logq, MODEL).bits
        print(f"| 2^{log_n} | 2n/3 | {logq} | primal uSVP | {published} | {here:.1f} | {here - published:+.1f} |", flush=True)
    for log_n, h, logq, values in SPARSE:
        for name, published in values.items():
            here = estimate(name, 2 ** log_n, h, logq, MODEL).bits
            print(f"| 2^{log_n} | {h} | {logq} | {name} | {published} | {here:.1f} | {here - published:+.1f} |", flush=True)


def least_weight():
    print("| n | log2 q | count | least h with 128 bits | bits |")
    for log_n in (16, 17):
        for logq in (96, 110, 121):
            for count in (MODEL, FLOOR, ROTATED):
                h = next(h for h in range(4, 200, 2) if bits(2 ** log_n, h, logq, count) >= 128)
                print(f"| 2^{log_n} | {logq} | {count.name} | {h} | {bits(2 ** log_n, h, logq, count):.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--least-weight", action="store_true")
    parser.add_argument("--set", nargs=3, type=float, metavar=("LOG2_N", "H", "LOG2_Q"))
    args = parser.parse_args()
    if args.check:
        check()
    elif args.least_weight:
        least_weight()
    elif args.set:
        show_all([(int(args.set[0]), int(args.set[1]), args.set[2])])
    else:
        show_all([(log_n, 32, logq) for log_n in (16, 17) for logq in (96, 110, 121)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
