"""Heart: ventricles, myocardium and its segments, fat around heart and coronary arteries.

A file holds one definition, under its id.
Not here: coronary calcium (``calcium``).
"""
