"""SAM 3: clicks, boxes and masks on planes, with the half of it that answers those."""
