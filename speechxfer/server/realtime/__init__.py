"""Realtime transcription sessions: sound comes in over a WebSocket, events with text go out.

`settings.py` is what a client may set, `turns.py` makes events of a stream's results, `session.py` is the conversation.
"""
