"""A page on which a video or an image is enhanced: `vividface web`."""
