"""What tells whether a picture is one that was blocked, or words are: pure functions over pixels, vectors and words."""
