"""Finding labels by words: crops of labels, image-text models, and the ranking of labels for a text."""
