"""Made-up runs of part 3 for the tests of its statistics and of its figures."""

import numpy as np
import pandas as pd

CLAIMS = [
    {"name": "harm", "claim": "It harms.", "expect": {"f1": "lower"}, "variants": {"a": {}, "b": {}}},
    {"name": "use", "claim": "It helps.", "expect": {"f1": "higher", "overfitting": "lower"}, "variants": {"c": {}}},
]


def runs_with_effects(effects, seeds=5, scatter=0.001, budget="reduced"):
    """Runs of a baseline and of variants with the given effects on the F1; seeds differ by more than the effects."""
    random = np.random.default_rng(1)
    claim_of = {"baseline": "baseline", "a": "harm", "b": "harm", "c": "use"}
    rows = [
        {"claim": claim_of[variant], "variant": variant, "budget": budget, "seed": seed}
        | {
            "f1": 0.8 + 0.02 * seed + effect + random.normal(0, scatter),
            "overfitting": 0.05 + random.normal(0, scatter),
        }
        for seed in range(1, seeds + 1)
        for variant, effect in ({"baseline": 0} | effects).items()
    ]
    return pd.DataFrame(rows)
