"""What a page to try models shows, without the page."""

#: Most pixels of a picture that a visitor may have decoded: 150 MB.
MAX_IMAGE_PIXELS = 50_000_000
