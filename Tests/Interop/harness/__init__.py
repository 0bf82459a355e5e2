"""Starts the product's processes on loopback and looks at what they hand out."""
