"""The methods once more, as plain loops over the rows of a group or of a run, written from the papers' equations."""
