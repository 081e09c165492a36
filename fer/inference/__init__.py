"""Photographs, folders and videos to predictions."""
