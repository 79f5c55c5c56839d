"""The part of laser_verl that talks to verl; nothing outside this folder imports verl."""
