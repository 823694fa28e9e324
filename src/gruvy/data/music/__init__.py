"""Music as piano rolls: which of 88 keys is held at each step."""
