"""The pages in a real headless Chromium, with fake microphones, against a real node."""
