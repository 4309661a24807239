"""CENTRAL's pages for people: what to do next, studies, sites, monitoring, audit.

Pages ask the services of the other rooms and decide nothing; a form calls the same service as the JSON API.
Not here: rules, tables, and the JSON routes, which stand with their rooms.
"""
