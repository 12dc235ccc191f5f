"""Programs of a few lines that the documents show; the tests run them."""
