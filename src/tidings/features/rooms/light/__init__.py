"""MUC Light: the second door to rooms, whose members need not enter them.

Wire-compatible with MongooseIM 6.8. A room is the same through both doors: one archive, one list of members,
one subject. What this door shows of it is written in `light_view.py`.
"""
