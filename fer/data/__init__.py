"""FER-2013, FER+ and faces of one's own: reading, labels, splits, duplicates, transforms, images."""
