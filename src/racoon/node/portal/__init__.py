"""The pages of a site's own people: what needs me today, studies to decide, jobs, what left the house.

One page answers the site informatician's morning question; each red state says what to do next.
It owns no data: it shows what the other rooms' services answer and hands decisions to them.
Pages of images and of what comes in are not here but in ``archive``, ``reading`` and ``intake``.
"""
