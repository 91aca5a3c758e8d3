"""The field wing: links, reading meters into the image, writing relays and set-points."""
