"""What a page to try models shows, without the page."""
