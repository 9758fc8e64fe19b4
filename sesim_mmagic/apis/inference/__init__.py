"""Translating files, folders, videos and arrays, and all that has to go right on the way."""
