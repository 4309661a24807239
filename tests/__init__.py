"""Every test of the product; the folder tells the price.  ``README.md`` beside this file is the map."""
