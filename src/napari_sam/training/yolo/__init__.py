"""How the nuclei detector that ships was trained: crops, training, export."""
