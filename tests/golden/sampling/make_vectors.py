#!/usr/bin/env python3
"""Writes vectors.json: keys, secrets, uniform polynomials and the table of errors as docs/formats describe them, made
without libsodium, for tests/unit/secret/known_answers_test.cpp.

Run by hand with a Python that has pycryptodome and mpmath:

    python make_vectors.py > vectors.json
"""

import hashlib
import json
import struct

import mpmath
from Crypto.Cipher import ChaCha20  # XChaCha20 where the nonce has 24 bytes
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

OWNER = bytes(range(32))
SEED = bytes(255 - 7 * i for i in range(32))
PRIMES = [281474975662081, 1073479681]  # of 48 and 30 bits, 1 modulo 2^18
DEVIATION = mpmath.mpf("3.19")


def blake2b(data, key=b"", size=32):
    return hashlib.blake2b(data, key=key, digest_size=size).digest()


def stream(key, nonce, size):
    return ChaCha20.new(key=key, nonce=nonce).encrypt(bytes(size))


def uniform(seed, number, prime, count):
    nonce = b"Sotto".ljust(8, b"\0") + struct.pack("<QQ", number, prime)
    data, words, mask = stream(seed, nonce, 6 * (4 * count + 4096)), [], (1 << prime.bit_length()) - 1
    for at in range(0, len(data), 6):
        word = int.from_bytes(data[at:at + 6], "little") & mask
        if word < prime:
            words.append(word)
    return words[:count]


def ternary(rank, order, level):
    label = b"Sotto ring key\0" + bytes([level]) + struct.pack("<QQ", rank, order)
    data = stream(blake2b(label, OWNER), b"Sotto secret".ljust(24, b"\0"), 2 * rank + 1024)
    return [b % 3 - 1 for b in data if b < 255][:rank]


def errors():
    """Bounds of a uniform 64-bit word: how many are not above it is the magnitude of an error."""
    mpmath.mp.prec = 256
    bounds = []
    while not bounds or bounds[-1] < 2**64 - 1:
        p = mpmath.erf((len(bounds) + mpmath.mpf("0.5")) / (DEVIATION * mpmath.sqrt(2)))
        bounds.append(int(mpmath.floor(p * 2**64)))
    return bounds[:-1]


def digest(words):
    return blake2b(b"".join(struct.pack("<q", w) for w in words)).hex()


def main():
    pair = ECC.construct(curve="Ed25519", seed=blake2b(b"Sotto owner's signing key\0", OWNER))
    verification = pair.public_key().export_key(format="raw")
    message = b"What is signed."
    derived = b"Sotto derived ".ljust(16, b"\0") + b"purpose".ljust(16, b"\0") + b"what"
    secrets = [{"log_rank": r, "conjugate_invariant": real, "level": level,
                "digest": digest(ternary(2**r, (4 if real else 2) * 2**r, level))}
               for r, real, level in ((10, False, 0), (10, True, 0), (13, True, 1), (16, True, 2))]
    polynomials = [{"stream": number, "prime": q, "log_rank": r, "first": uniform(SEED, number, q, 4),
                    "digest": digest(uniform(SEED, number, q, 2**r))}
                   for number, q, r in ((0, PRIMES[0], 6), (1, PRIMES[0], 14), (2**40 + 3, PRIMES[1], 15))]
    out = {"owner": OWNER.hex(), "verification_key": verification.hex(), "id": blake2b(b"Sotto owner" + verification, size=16).hex(),
           "message": message.decode(), "signature": eddsa.new(pair, "rfc8032").sign(message).hex(),
           "derived": blake2b(derived, OWNER).hex(), "secrets": secrets,
           "seed": SEED.hex(), "uniform": polynomials, "error_bounds": errors()}
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
