"""The reading room in a real Chromium."""
