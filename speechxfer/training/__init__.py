"""Moving a model: the job, the loop, what is frozen and what is kept."""
