"""Secure sums: the server gets random words from each site and the plain sum of all, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from racoon.domain.training import Strategy
from racoon.learning.aggregation import ExactMean, to_fixed
from racoon.learning.flare.approvals import MaskedRounds, NotApproved
from racoon.learning.masking import (
    MaskedSum,
    NoSecureSum,
    Round,
    SumKeys,
    load_or_make_sum_key,
    public_text,
)
from racoon.learning.weights import BadWeights, Weights
from tests.unit.learning.making import PLAN

SITES = ("ALPHA", "BRAVO", "CHARLIE", "DELTA")
SHAPES = {"a": (7, 3), "b": (5,), "c": ()}
CASES = {"ALPHA": 3, "BRAVO": 11, "CHARLIE": 2, "DELTA": 40}
THIS = Round("run", "run-0", 2, SITES)


def weights_of(site: str) -> Weights:
    generator = np.random.default_rng(len(site) + CASES[site])
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SumKeys]:
    folder = tmp_path_factory.mktemp("keys")
    own = {site: load_or_make_sum_key(folder / site) for site in SITES}
    assert public_text(load_or_make_sum_key(folder / "ALPHA")) == public_text(own["ALPHA"])
    assert (folder / "ALPHA").stat().st_mode & 0o777 == 0o600
    public = {site: public_text(key) for site, key in own.items()}
    return {site: SumKeys(site, own[site], public) for site in SITES}


def test_the_sum_is_the_plain_one_bit_for_bit_in_any_order(keys: dict[str, SumKeys]) -> None:
    plain = ExactMean(SHAPES)
    for site in SITES:
        plain.add(site, weights_of(site), CASES[site])
    wanted = plain.take()
    for order in (SITES, SITES[::-1]):
        masked = MaskedSum(SHAPES, SITES)
        for site in order:
            masked.add(site, keys[site].mask(weights_of(site), CASES[site], THIS), CASES[site])
        found = masked.take()
        assert all(found[name].tobytes() == wanted[name].tobytes() for name in SHAPES)
        assert masked.contributors == CASES


def test_a_single_part_is_random_whatever_is_in_it(keys: dict[str, SumKeys]) -> None:
    zeros = {"a": np.zeros(200_000, np.float32)}
    words = keys["ALPHA"].mask(zeros, 3, THIS)["a"]
    bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 64)
    # 200 000 fair coins per bit: 0.5 ± 5 standard deviations.
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(bits))
    assert len(np.unique(words)) == len(words)


def test_all_but_one_part_stay_sealed(keys: dict[str, SumKeys]) -> None:
    masked = MaskedSum(SHAPES, SITES)
    for site in SITES[:-1]:
        masked.add(site, keys[site].mask(weights_of(site), CASES[site], THIS), CASES[site])
    with pytest.raises(BadWeights, match="lacks a participant"):
        masked.take()
    # A server that breaks its own rule and opens it anyway finds noise.
    leaky = MaskedSum(SHAPES, SITES[:-1])
    for site in SITES[:-1]:
        leaky.add(site, keys[site].mask(weights_of(site), CASES[site], THIS), CASES[site])
    with pytest.raises(BadWeights, match="values no network has"):
        leaky.take()


@pytest.mark.parametrize(
    "other",
    [
        replace(THIS, run_id="other"),
        replace(THIS, job="run-1"),
        replace(THIS, index=3),
        replace(THIS, participants=SITES[:3]),
    ],
)
def test_another_round_has_another_mask(keys: dict[str, SumKeys], other: Round) -> None:
    first = keys["ALPHA"].mask(weights_of("ALPHA"), 3, THIS)
    second = keys["ALPHA"].mask(weights_of("ALPHA"), 3, other)
    plain = {name: to_fixed(value, 3).view(np.uint64) for name, value in weights_of("ALPHA").items()}
    assert all((first[name] != second[name]).all() for name in SHAPES)
    assert all((first[name] != plain[name]).all() for name in SHAPES)


def test_a_site_masks_for_nobody_it_was_not_given_a_key_of(keys: dict[str, SumKeys]) -> None:
    alpha = keys["ALPHA"]
    stranger = replace(THIS, participants=(*SITES, "MALLORY"))
    for this, keyring in (
        (stranger, alpha),
        (replace(THIS, participants=("ALPHA", "BRAVO")), alpha),
        (replace(THIS, participants=SITES[1:]), alpha),
        (replace(THIS, participants=(*SITES, "BRAVO")), alpha),
        (THIS, replace(alpha, minimum=5)),
        (THIS, replace(alpha, peers={**alpha.peers, "BRAVO": "no key"})),
    ):
        with pytest.raises(NoSecureSum):
            keyring.mask(weights_of("ALPHA"), 3, this)


def test_unmasked_misshapen_and_repeated_parts_are_refused(keys: dict[str, SumKeys]) -> None:
    masked = MaskedSum(SHAPES, SITES)
    good = keys["ALPHA"].mask(weights_of("ALPHA"), 3, THIS)
    for bad, cases in (
        (weights_of("ALPHA"), 3),
        ({**good, "a": good["a"].ravel()}, 3),
        ({name: good[name] for name in ("a", "b")}, 3),
        (good, 0),
    ):
        with pytest.raises(BadWeights):
            masked.add("ALPHA", bad, cases)
    masked.add("ALPHA", good, 3)
    for site in ("ALPHA", "MALLORY"):
        with pytest.raises(BadWeights, match="twice"):
            masked.add(site, good, 3)


def test_a_mask_is_used_once_also_after_a_restart(tmp_path: Path) -> None:
    MaskedRounds(tmp_path).use(THIS)
    MaskedRounds(tmp_path).use(replace(THIS, index=3))
    MaskedRounds(tmp_path).use(replace(THIS, job="run-1"))
    with pytest.raises(NotApproved, match="twice"):
        MaskedRounds(tmp_path).use(replace(THIS, participants=SITES[:3]))


def test_plans_that_contradict_a_secure_sum_are_refused() -> None:
    for words in ({"aggregate": "median"}, {"name": "cyclic"}):
        with pytest.raises(ValueError, match="secure sum"):
            Strategy.from_dict({"secure_sum": True, **words})
    strategy = Strategy(secure_sum=True)
    assert Strategy.from_dict(strategy.to_dict()) == strategy
    with pytest.raises(ValueError, match="three sites"):
        replace(PLAN, strategy=strategy, min_sites=2)
