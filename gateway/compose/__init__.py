"""The composition root: from files to a Runtime. The only place that names concrete parts.

A new provider or transport is one module and one line in `lines`, a new policy one in `reading`, a new store
one in `opening`.
"""
