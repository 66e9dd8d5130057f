"""The ``ray`` engine: planned jobs spread over a cluster. Needs the ``[ray]`` extra."""
