"""Data that ships with laser_verl: a miniature world and its small base model."""
