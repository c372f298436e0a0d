"""Work on the disk: journalled as it is made, restored, saved and opened again."""
