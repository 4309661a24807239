"""Tombstones: subjects whose data may no longer be used, by the pseudonym of one study, as their sites signed it.

CENTRAL holds no images; it marks the trainings that used the subject, and confirms to the site what it did.
Not here: who the subject is, which only the site knows, and results, which stay as they were published.
"""
