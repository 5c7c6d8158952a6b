#!/usr/bin/env python3
"""Writes vectors.json: what Microsoft SEAL computes for small rings, for tests/unit/ckks/seal_vectors_test.cpp.

Run by hand with a Python that has TenSEAL, whose `sealapi` is SEAL with its own random keys and errors, so every run
gives other numbers:

    python make_vectors.py > vectors.json

All polynomials are lists of words modulo each prime, in SEAL's order of transformed values: word k belongs to the power
2 bitreverse(k) + 1 of the smallest primitive root of order 2 `degree`. The last prime is SEAL's special prime.
"""

import json
import random

import tenseal.sealapi as seal

DEGREE = 128  # complex slots: half of it
LIMBS = 3
SCALE = 2.0**40
STEPS = 2
ELEMENT = pow(3, STEPS, 2 * DEGREE)  # SEAL's slot j is the value at the root to the power 3^j


def primes():
    """Those of Sotto's parameters: of the largest below 2^48 that are 1 modulo 2 DEGREE, the first 24 are special ones."""
    found, candidate = [], 2**48 + 1
    while len(found) < 24 + LIMBS:
        candidate -= 2 * DEGREE
        if seal.Modulus(candidate).is_prime():
            found.append(candidate)
    return [*found[24:], found[0]]


def smallest_root(q):
    """The smallest primitive root of order 2 DEGREE."""
    order = 2 * DEGREE
    some = next(r for r in (pow(g, (q - 1) // order, q) for g in range(2, 1000)) if pow(r, DEGREE, q) == q - 1)
    return min(pow(some, e, q) for e in range(1, order, 2))


def rows(words):
    return [words[i:i + DEGREE] for i in range(0, len(words), DEGREE)]


def polynomials(c):
    """Those of a ciphertext."""
    words = [c.dyn_array().at(i) for i in range(c.dyn_array().size())]
    each = DEGREE * c.coeff_modulus_size()
    return [rows(words[i:i + each]) for i in range(0, each * c.size(), each)]


def plaintext(p, limbs):
    return rows([p[i] for i in range(DEGREE * limbs)])


def main():
    chain = primes()
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(DEGREE)
    parameters.set_coeff_modulus([seal.Modulus(q) for q in chain])
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.NONE)
    generator = seal.KeyGenerator(context)
    secret, public, relin, galois = generator.secret_key(), seal.PublicKey(), seal.RelinKeys(), seal.GaloisKeys()
    generator.create_public_key(public)
    generator.create_relin_keys(relin)
    generator.create_galois_keys([ELEMENT], galois)
    encoder, evaluator = seal.CKKSEncoder(context), seal.Evaluator(context)
    encryptor, decryptor = seal.Encryptor(context, public), seal.Decryptor(context, secret)

    def key(digits):
        """Digit after digit, each with its two polynomials."""
        return [polynomials(d.data()) for d in digits]

    def decrypted(c):
        p = seal.Plaintext()
        decryptor.decrypt(c, p)
        return plaintext(p, c.coeff_modulus_size())

    rng = random.Random(1)
    slots = [[complex(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(DEGREE // 2)] for _ in range(2)]
    real = [rng.uniform(-1, 1) for _ in range(DEGREE // 2)]
    encoded, encrypted = [], []
    for values in (*slots, [complex(x) for x in real]):
        p, c = seal.Plaintext(), seal.Ciphertext()
        encoder.encode(values, SCALE, p)
        encryptor.encrypt(p, c)
        encoded.append(p)
        encrypted.append(c)
    a, b = encrypted[:2]
    product, short, linear, rotated = seal.Ciphertext(), seal.Ciphertext(), seal.Ciphertext(), seal.Ciphertext()
    evaluator.multiply(a, b, product)
    evaluator.relinearize(product, relin, linear)
    evaluator.rescale_to_next(a, short)
    evaluator.rotate_vector(a, STEPS, galois, rotated)
    coefficients = seal.Ciphertext()
    evaluator.transform_from_ntt(a, coefficients)
    pair = lambda v: [[z.real, z.imag] for z in v]
    key_words = [secret.data()[i] for i in range(DEGREE * len(chain))]
    out = {
        "degree": DEGREE, "primes": chain, "roots": [smallest_root(q) for q in chain], "scale": SCALE,
        "secret": rows(key_words),
        "slots": [pair(v) for v in slots], "real_slots": real,
        "encoded": [plaintext(p, LIMBS) for p in encoded],
        "encrypted": [polynomials(c) for c in encrypted[:2]],
        "coefficients": polynomials(coefficients), "decrypted": decrypted(a),
        "product": polynomials(product), "rescaled": polynomials(short),
        "relinearisation_key": key(relin.data()[0]), "relinearised": decrypted(linear),
        "galois_element": ELEMENT,
        "rotation_key": key(galois.key(ELEMENT)), "rotated": decrypted(rotated),
    }
    print(json.dumps(out, separators=(",", ":")))


if __name__ == "__main__":
    main()
