"""The verbs of the system: declared once, spoken by every door."""
