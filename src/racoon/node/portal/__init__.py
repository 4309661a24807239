"""The pages of a site's own people: what needs me today, studies to decide, intake, jobs, what left the house.

One page answers the site informatician's morning question; each red state says what to do next.
It owns no data: it shows what the other rooms' services answer and hands decisions to them.
Image pages are not here but in ``archive`` and ``reading``.
"""
