"""What a study yields: statistics pooled from what sites released, scores of models, page, CSV and report.

Only released aggregates come in; a suppressed site stands neither in the numerator nor in the denominator.
Not here: how a number is computed at a site (``science``) and what may leave it (the site's release gate).
"""
