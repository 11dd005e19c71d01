"""The colours of all plots."""

from __future__ import annotations

INK, SOFT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
CANDIDATE, CHAMPION, TEST = "#2563a8", "#d98a29", "#6b9f71"
SERIES = (CANDIDATE, CHAMPION, TEST, "#8a63a8", "#b3372f", "#4aa3a2", SOFT)
"""Of lines or parts beside each other, in this order."""
