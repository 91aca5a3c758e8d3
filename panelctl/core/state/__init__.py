"""The flat memory of a panel: where each field lies, how it is filled, the image, the states."""
