"""Side-by-side benchmarks: each prints ratios from one run; ``make bench`` runs them all."""
