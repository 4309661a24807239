"""Pages of both roles: layout, templates, styles, scripts and the two languages.

Templates live in ``templates/<role>/<context>/``, own scripts and the one stylesheet in ``static/``; nothing is
loaded from elsewhere.  Routes belong to the contexts of ``node`` and ``central``, which call
:func:`racoon.web.pages.render`.  No page knows more than the service that its route asks.
"""
