"""Labels while a person works on them: prompts, answers, objects, what is kept.

No Qt and no napari here: a viewer's widgets drive this, and so can tests.
"""
