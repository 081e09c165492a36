"""Photograph to face boxes, and FER-2013's framing of a face."""
