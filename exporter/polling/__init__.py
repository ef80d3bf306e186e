"""Polls what a plan says: who is polled when, and what becomes of it."""
