"""Released models: file, model card and entry of the index."""
