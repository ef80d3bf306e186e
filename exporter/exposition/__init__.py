"""Polled series as bytes: samples -> lines, lines -> deflated blocks, blocks -> the page that a scrape copies. Pure.

Nothing here is rendered, escaped or deflated when somebody scrapes: that happened when a poll brought new values.
"""

from exporter.exposition.block import Block, OpenMember
from exporter.exposition.lines import Body, Format, body, head, pieces
from exporter.exposition.page import Board, Joiner, Page

__all__ = ["Block", "Board", "Body", "Format", "Joiner", "OpenMember", "Page", "body", "head", "pieces"]
