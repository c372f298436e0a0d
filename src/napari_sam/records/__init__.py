"""What is kept: runs that can be resumed, labels, tables and their exports."""
