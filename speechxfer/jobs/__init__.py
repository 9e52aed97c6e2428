"""Work on manifests of any length: rows are read as a stream, computed here or on Ray, and written in shards.

A row is a recording or an excerpt of one (`rows.py`). Rows are dealt in parts (`parts.py`) to an engine, which decides
only where a part is computed: in this process (`here.py`) or on the workers of a Ray cluster (`on_ray.py`). What is done
with the rows of a part is one function for both (`work.py`). One process writes the results (`output.py`).
"""
