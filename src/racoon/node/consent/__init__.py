"""Legal basis by pseudonym: consents, the site's other bases, and withdrawals.  Every read path of the node asks here.

Deny by default: without a document or a basis that the site recorded nothing is read, and what cannot be checked is
refused.  A withdrawal is a row that every read joins, in force with the transaction that writes it.
Not here: whether a study was approved (``approvals``) and the images themselves (``archive``).
"""
