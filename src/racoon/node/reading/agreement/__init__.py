"""Agreement of a reading list while it is read: per question, per mask and per reader, with the worst disagreements.

Only cases count that every reader is done with, and nobody sees it who still reads or decides blinded in the list: the
service refuses, whatever page asks.  The comparisons are ``comparing``'s; lists and readings are ``work``'s.
"""
