"""How labels lie on the disk while a person works on them.

A session folder holds `session.json` (what is worked on), logs (one entry per
change, appended) and at most one snapshot, which stands for all older logs. A
snapshot is written in the same entries as a log.
"""
