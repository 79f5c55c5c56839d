"""The methods once more, as plain loops over the rows of one group, written from the papers' equations."""
