"""The page on which trimaps are painted and the steps of a matte watched: strokes, one session, its server."""
