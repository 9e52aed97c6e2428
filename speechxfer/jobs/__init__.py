"""Work on manifests of any length: rows are read as a stream, computed here or on Ray, and written in shards.

A row is a recording or an excerpt of one (`rows.py`). Rows are dealt in parts (`parts.py`) to an engine, which decides
only where they are computed: in this process (`running.py`) or on the workers of a Ray cluster (`on_ray.py`). What is
done with them is one function for both (`work.py`). One process writes the results (`output.py`, `shards.py`).
"""
