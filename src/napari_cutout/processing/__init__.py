"""What goes before a cut and after it: filters of the image, and the clean-up of what was cut."""
