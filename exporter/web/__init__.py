"""The web server, and the pages that it shows."""
