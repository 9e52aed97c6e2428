"""`speechxfer serve`: models behind the HTTP interface of OpenAI's client, and a page for people.

A request takes a place, its recording is read and cut into segments in a thread of its own, and the segments of all
requests are computed by one thread for each model, in batches (`queueing`).
"""
