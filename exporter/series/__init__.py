"""From an answer to what is published."""
